"""The paper's setting, as a suite file."""
