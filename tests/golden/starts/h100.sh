#!/bin/sh
# Made by Devstral Fleet for release 20260102T030405Z-209b5561ddaf. The service runs this file.
set -eu
cd /opt/devstral-fleet/releases/20260102T030405Z-209b5561ddaf
tries=0
until docker version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then echo "Docker does not answer" >&2; exit 1; fi
    sleep 1
done
# One whose `docker run` was killed still holds GPU and port.
docker container rm --force devstral-fleet-5e34d07e >/dev/null 2>&1 || true
# SGLang logs all its arguments at start, the API key among them; logging.json leaves that one logger out.
exec docker run --rm \
  --name devstral-fleet-5e34d07e \
  --init \
  --log-driver none \
  --gpus '"device=0,1,2,3"' \
  --ulimit memlock=-1 \
  --ulimit stack=67108864 \
  --ipc private \
  --shm-size 32g \
  --publish 127.0.0.1:30000:30000 \
  --mount type=bind,source=/opt/devstral-fleet/models,target=/opt/devstral-fleet/models,readonly \
  --mount type=bind,source=/opt/devstral-fleet/secrets/engine.yml,target=/run/secrets/engine.yml,readonly \
  --volume /opt/devstral-fleet/cache:/var/cache/devstral-fleet \
  --env HOME=/var/cache/devstral-fleet \
  --env LOGNAME=engine \
  --env FLASHINFER_WORKSPACE_BASE=/var/cache/devstral-fleet \
  --env TORCHINDUCTOR_CACHE_DIR=/var/cache/devstral-fleet/inductor \
  --env TRITON_CACHE_DIR=/var/cache/devstral-fleet/triton \
  --env HF_HUB_OFFLINE=1 \
  --env TRANSFORMERS_OFFLINE=1 \
  --health-cmd 'curl --fail --silent --max-time 25 http://127.0.0.1:30000/health' \
  --health-start-period 1800s \
  --health-interval 30s \
  --health-timeout 25s \
  --health-retries 3 \
  --stop-timeout 240 \
  --mount type=bind,source=/opt/devstral-fleet/releases/20260102T030405Z-209b5561ddaf/logging.json,target=/run/devstral-fleet/logging.json,readonly \
  --mount type=bind,source=/opt/devstral-fleet/jobs,target=/opt/devstral-fleet/jobs \
  --env SGLANG_LOGGING_CONFIG_PATH=/run/devstral-fleet/logging.json \
  lmsysorg/sglang:v0.5.20-cu130 python3 -m sglang.launch_server \
  --model-path /opt/devstral-fleet/models/devstral-2-main \
  --served-model-name mistralai/Devstral-2-123B-Instruct-2512 \
  --host 0.0.0.0 \
  --port 30000 \
  --context-length 262144 \
  --tp 4 \
  --mem-fraction-static 0.819 \
  --tool-call-parser mistral \
  --enable-metrics \
  --config /run/secrets/engine.yml
