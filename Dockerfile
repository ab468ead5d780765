# What is installed is pinned by hash, and what built it stays behind. Runs as any user, on a read-only root: only data_dir is written.
FROM python:3.11-slim-bookworm AS build

WORKDIR /src
COPY requirements/build.txt requirements/run.txt requirements/
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt
RUN python -m venv /opt/killcord && \
    pip --python /opt/killcord/bin/python install --no-cache-dir --require-hashes --only-binary :all: -r requirements/run.txt

COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY adapters adapters
COPY policies policies
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index --wheel-dir dist . && \
    pip --python /opt/killcord/bin/python install --no-cache-dir --no-deps --no-index dist/*.whl && \
    pip --python /opt/killcord/bin/python check && \
    pip --python /opt/killcord/bin/python uninstall --yes setuptools pip


FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="killcord" \
      org.opencontainers.image.description="Stop, contain and undo what AI agents do in production" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"

# Nothing is installed in a running container.
RUN python -m pip uninstall --yes setuptools wheel pip && \
    install -d -o 65532 -g 65532 -m 0700 /var/lib/killcord && \
    install -d -m 0755 /etc/killcord

COPY --from=build /opt/killcord /opt/killcord

ENV PATH=/opt/killcord/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 65532:65532
WORKDIR /var/lib/killcord
VOLUME ["/var/lib/killcord"]
EXPOSE 8090 8091

# KILLCORD_URL, where the control API is elsewhere; a proxy named in the environment is not asked.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(os.environ.get('KILLCORD_URL', 'http://127.0.0.1:8091') + '/healthz', timeout=2)"]

ENTRYPOINT ["killcord"]
CMD ["serve", "--config", "/etc/killcord/killcord.yaml"]
