"""Asks the hub who we are with what `ccproxy env` printed."""
from huggingface_hub import HfApi

print(HfApi().whoami()["name"])  # HF_ENDPOINT and HF_TOKEN
