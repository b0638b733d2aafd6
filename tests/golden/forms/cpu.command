HF_HUB_OFFLINE=1 \
SGLANG_USE_CPU_ENGINE=1 \
TORCHDYNAMO_DISABLE=1 \
TRANSFORMERS_OFFLINE=1 \
python -m sglang.launch_server \
  --model-path /opt/devstral-fleet/models/devstral-tiny-eff3b199 \
  --served-model-name devstral-tiny \
  --host 127.0.0.1 \
  --port 30000 \
  --context-length 32768 \
  --max-total-tokens 65536 \
  --tool-call-parser mistral \
  --device cpu \
  --attention-backend torch_native \
  --max-running-requests 32 \
  --sleep-on-idle \
  --enable-metrics
