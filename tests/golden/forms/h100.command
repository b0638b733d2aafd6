python -m sglang.launch_server \
  --model-path mistralai/Devstral-2-123B-Instruct-2512 \
  --served-model-name mistralai/Devstral-2-123B-Instruct-2512 \
  --host 127.0.0.1 \
  --port 30000 \
  --context-length 262144 \
  --tp 4 \
  --mem-fraction-static 0.819 \
  --tool-call-parser mistral \
  --enable-metrics
