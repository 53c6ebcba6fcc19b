# One image for every part: `retouch api`, `retouch worker --steps poll`, `celery -A workers.app flower`, …
# Packages are installed in a stage of their own, so neither pip's settings nor its leftovers are in what runs.

FROM python:3.11-slim-bookworm AS packages
# Only for builds behind an index of your own: --build-arg PIP_INDEX_URL=…
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_CERT
RUN python -m venv /opt/venv
COPY requirements.lock /tmp/
RUN /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-input --require-hashes \
        -r /tmp/requirements.lock && \
    rm -rf /opt/venv/lib/python*/site-packages/pip /opt/venv/lib/python*/site-packages/pip-* /opt/venv/bin/pip*


FROM python:3.11-slim-bookworm
# The number is fixed: volumes keep it. The folders are there so that new volumes mounted on them belong to it as well.
RUN groupadd --gid 10001 retouch && \
    useradd --uid 10001 --gid retouch --home-dir /var/lib/retouch --no-create-home --shell /usr/sbin/nologin retouch && \
    install -d -o retouch -g retouch -m 0750 /run/retouch /var/lib/retouch /var/lib/valkey /var/lib/s3 && \
    printf '#!/bin/sh\nexec python -m cli "$@"\n' >/usr/local/bin/retouch && \
    chmod 0755 /usr/local/bin/retouch
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RETOUCH_ENV=production \
    RETOUCH_DATA_DIR=/var/lib/retouch \
    RETOUCH_API__HOST=0.0.0.0
# Nobody may write here when it runs, so it is compiled now.
RUN python -m compileall -q .
USER 10001:10001
EXPOSE 8000
CMD ["retouch", "api"]
