python -m sglang.launch_server \
  --model-path mistralai/Devstral-Small-2-24B-Instruct-2512 \
  --served-model-name mistralai/Devstral-Small-2-24B-Instruct-2512 \
  --host 127.0.0.1 \
  --port 30000 \
  --context-length 262144 \
  --mem-fraction-static 0.82 \
  --tool-call-parser mistral \
  --enable-metrics
