#!/bin/sh
# Made by Devstral Fleet for release 20260102T030405Z-1c0da15f490d. The service runs this file.
set -eu
cd /opt/devstral-fleet/releases/20260102T030405Z-1c0da15f490d
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
  --device /dev/kfd \
  --device /dev/dri \
  --group-add video \
  --security-opt seccomp=unconfined \
  --ulimit memlock=-1 \
  --ulimit stack=67108864 \
  --ipc private \
  --shm-size 32g \
  --publish 127.0.0.1:30000:30000 \
  --mount type=bind,source=/opt/devstral-fleet/models,target=/opt/devstral-fleet/models,readonly \
  --mount type=bind,source=/opt/devstral-fleet/secrets/engine.yml,target=/run/secrets/engine.yml,readonly \
  --volume /opt/devstral-fleet/cache:/var/cache/devstral-fleet \
  --env HIP_VISIBLE_DEVICES=0 \
  --env HOME=/var/cache/devstral-fleet \
  --env LOGNAME=engine \
  --env FLASHINFER_WORKSPACE_BASE=/var/cache/devstral-fleet \
  --env TORCHINDUCTOR_CACHE_DIR=/var/cache/devstral-fleet/inductor \
  --env TRITON_CACHE_DIR=/var/cache/devstral-fleet/triton \
  --env HF_HUB_OFFLINE=1 \
  --env TRANSFORMERS_OFFLINE=1 \
  --health-cmd 'curl --fail --silent --max-time 25 http://127.0.0.1:30000/health' \
  --health-start-period 900s \
  --health-interval 30s \
  --health-timeout 25s \
  --health-retries 3 \
  --stop-timeout 120 \
  --group-add "$(getent group render | cut -d: -f3)" \
  --mount type=bind,source=/opt/devstral-fleet/releases/20260102T030405Z-1c0da15f490d/logging.json,target=/run/devstral-fleet/logging.json,readonly \
  --mount type=bind,source=/opt/devstral-fleet/jobs,target=/opt/devstral-fleet/jobs \
  --env SGLANG_LOGGING_CONFIG_PATH=/run/devstral-fleet/logging.json \
  lmsysorg/sglang:v0.5.20-rocm720-mi30x python3 -m sglang.launch_server \
  --model-path /opt/devstral-fleet/models/devstral-small-2-main \
  --served-model-name mistralai/Devstral-Small-2-24B-Instruct-2512 \
  --host 0.0.0.0 \
  --port 30000 \
  --context-length 262144 \
  --mem-fraction-static 0.82 \
  --tool-call-parser mistral \
  --enable-metrics \
  --config /run/secrets/engine.yml
