# docker build -t quorum --build-arg TORCH_INDEX=<the index of PyTorch's CPU builds> .
# docker run --rm --init quorum demo
#
# Beam downloads Prism, its local streaming engine, at the first run. Where that is not to be, mount
# its binary and name it: -v /opt/prism:/opt/prism:ro -e QUORUM_PRISM=/opt/prism
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
# Where pip takes torch from. Left empty, pip's own index is used, whose build for Linux brings
# several GB of CUDA libraries that nothing here uses.
ARG TORCH_INDEX=""
# Extras to install beside the core, such as "[dataflow]".
ARG EXTRAS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/quorum
ENV PATH=/opt/quorum/bin:$PATH
WORKDIR /src
COPY requirements.lock ./
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -c requirements.lock torch
COPY pyproject.toml setup.py README.md LICENSE ./
COPY quorum quorum
COPY models models
COPY aggregator aggregator
COPY pipeline pipeline
RUN pip install -c requirements.lock ".${EXTRAS}" && pip check

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="Quorum" \
      org.opencontainers.image.description="Content moderation as an ensemble on a stream" \
      org.opencontainers.image.licenses="Apache-2.0"
# Chromaprint compares sound; without it the copyright detector compares pictures only.
RUN apt-get update && apt-get install --no-install-recommends -y libchromaprint1 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 --shell /usr/sbin/nologin quorum
COPY --from=build /opt/quorum /opt/quorum
COPY --chown=root:root examples /app/examples
# All weights are in the image; no model hub is asked for any.
ENV PATH=/opt/quorum/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    NUMBA_CACHE_DIR=/tmp/numba
USER 10001
WORKDIR /app
STOPSIGNAL SIGTERM
# The start period covers loading the models; a worker that serves no metrics is unhealthy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s --retries=3 CMD ["quorum", "health"]
ENTRYPOINT ["quorum"]
CMD ["--help"]
