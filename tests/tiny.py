"""A suite of random networks: its file, and the id under which results, runs and boards know it."""

import hashlib
import tomllib

from a2ibench.suites.file import SuiteFile

SUITE = """
name = "tiny"
version = 1
summary = "Random networks: for tests of everything but the numbers."
clips = "test"
notes = ["Random networks."]

[encoders.clip]
file = "weights/clip.safetensors"
tokenizer = "weights/stable-diffusion/tokenizer"

[encoders.clip.model]
embed_dim = 16
quick_gelu = true
vision_cfg = { image_size = 32, layers = [1, 1, 1, 1], width = 8, head_width = 32 }
text_cfg = { context_length = 32, vocab_size = 514, width = 16, heads = 2, layers = 1 }

[encoders.wav2clip]
file = "weights/wav2clip.safetensors"
width = 8
blocks = [1, 1, 1, 1]
dim = 16

[encoders.classifier]
file = "weights/classifier.safetensors"
image_size = 32
categories = ["bell", "dog", "rain cloud"]

[encoders.inception]
file = "weights/inception.safetensors"
classes = 3

[parts.stable_diffusion]
file = "weights/stable-diffusion"

[parts.beats]
file = "weights/beats.safetensors"
layers = [1, 2]

[parts.beats.config]
embed_dim = 16
encoder_embed_dim = 32
encoder_layers = 2
encoder_attention_heads = 2
encoder_ffn_embed_dim = 64
conv_pos = 16
conv_pos_groups = 4
num_buckets = 32
max_distance = 80
predictor_class = 3

[parts.embedder]
file = "weights/audiotoken.safetensors"

[parts.embedder-cl]
file = "weights/audiotoken-cl.safetensors"

[parts.vqgan]
file = "weights/vqgan.safetensors"

[parts.vqgan.config]
embed_dim = 8
num_embeddings = 16
latent_channels = 8
base_channels = 32
channel_multiplier = [1, 1]
num_res_blocks = 1

[parts.wav2clip]
encoder = "wav2clip"

[parts.clip]
encoder = "clip"

[parts.imagebind]
file = "weights/imagebind.safetensors"
config = { width = 32, blocks = 2, heads = 4, mlp_width = 64, out_dim = 16, stride = 16 }

[parts.unclip]
file = "weights/unclip"
borrows = "stable_diffusion"

[methods.sd-text.options]
steps = 2
guidance = 3.0

[methods.wav2clip.options]
iterations = 2
cutouts = 2
size = 32

[methods.imagebind.options]
steps = 3
guidance = 3.0

[methods.audiotoken.options]
prompt = "a photo of <*>"
seconds = 1.0
steps = 2
guidance = 3.0

[methods.audiotoken-cl]
parts = { embedder = "embedder-cl" }
options = { prompt = "a photo of <*>", seconds = 1.0, steps = 2, guidance = 3.0 }

[training]
steps = 6
batch_size = 2
lr = 1e-2
schedule = "cosine"
crop_seconds = 1.0
crops = 1
size = 32
"""

TINY = f"tiny@1.{SuiteFile.model_validate(tomllib.loads(SUITE)).digest}"


def write_sums(weights):
    """Write ``SHA256SUMS`` over a folder of weights."""
    files = [file for file in sorted(weights.rglob("*")) if file.is_file() and file.name != "SHA256SUMS"]
    lines = (f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(weights).as_posix()}\n" for f in files)
    (weights / "SHA256SUMS").write_text("".join(lines))
