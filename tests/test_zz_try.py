import json
import pytest

@pytest.mark.parametrize("method", ["audiotoken", "sd-text", "reference"])
def test_try(run_cli, tiny_suite, method):
    o = run_cli("eval", "--method", method, "--suite", tiny_suite)
    print(o.out, o.err)
    assert o.code == 0
    o = run_cli("eval", "--method", method, "--suite", tiny_suite, "--limit", 3)
    print(o.out, o.err)
