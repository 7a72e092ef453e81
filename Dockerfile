# docker build -t quorum --build-arg TORCH_INDEX=<the index of PyTorch's CPU builds> .
# docker run --rm --init quorum demo
#
# Beam downloads Prism, its local streaming engine, at the first run. Where that is not to be, mount
# its binary and name it: -v /opt/prism:/opt/prism:ro -e QUORUM_PRISM=/opt/prism
#
# For Dataflow, as its template's launcher and its workers:
#   docker build -t quorum-dataflow --target dataflow --build-arg EXTRAS="[dataflow]" .

# A tag may come to name another image: build with the digest that was examined, as
#   --build-arg PYTHON=3.11-slim-bookworm@$(docker buildx imagetools inspect \
#       python:3.11-slim-bookworm --format '{{.Manifest.Digest}}')
ARG PYTHON=3.11-slim-bookworm
# As in requirements.lock.
ARG BEAM=2.77.0
# The cluster's Flink, and the job server for it that was tried (docs/flink.md).
ARG FLINK=1.19
ARG BEAM_FLINK=2.62.0

FROM python:${PYTHON} AS build
# Where pip takes torch from. Left empty, pip's own index is used, whose build for Linux brings
# several GB of CUDA libraries that nothing here uses.
ARG TORCH_INDEX=""
# Extras to install beside the core, such as "[mlflow,postgres,web]".
ARG EXTRAS=""
# "lgpl" builds FFmpeg here, without the GPL's x264 and x265 that the wheel of `av` brings, and `av`
# for it (deploy/README.md, Licences). Nothing is lost: they only encode, and Quorum only decodes.
ARG AV=wheel
ARG FFMPEG=https://ffmpeg.org/releases/ffmpeg-8.1.2.tar.xz
# The archive's SHA-256, which you examined; needed with AV=lgpl.
ARG FFMPEG_SHA256=""
# "1" refuses files of other digests than those in requirements.hashes. With an index of PyTorch's own
# builds, whose digests are others, name them: HASHES_EXCEPT=torch.
ARG REQUIRE_HASHES=""
ARG HASHES_EXCEPT=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/quorum
ENV PATH=/opt/quorum/bin:$PATH
WORKDIR /src
RUN if [ "$AV" = lgpl ]; then set -e; \
      apt-get update && apt-get install --no-install-recommends -y \
        build-essential libdav1d-dev nasm pkg-config zlib1g-dev; \
      python -c "import sys, urllib.request as r; r.urlretrieve(sys.argv[1], 'ffmpeg.tar.xz')" "$FFMPEG"; \
      echo "$FFMPEG_SHA256  ffmpeg.tar.xz" | sha256sum --check --strict; \
      mkdir ffmpeg && python -m tarfile -e ffmpeg.tar.xz ffmpeg; \
      cd ffmpeg/*; sh ./configure --prefix=/opt/quorum/ffmpeg --enable-shared --disable-static \
        --disable-programs --disable-doc --disable-gpl --disable-nonfree --enable-libdav1d \
        --extra-ldflags=-Wl,-rpath,/opt/quorum/ffmpeg/lib; \
      make -j"$(nproc)" install; cd /src; rm -rf ffmpeg ffmpeg.tar.xz; \
    fi
COPY requirements.lock requirements.hashes ./
RUN if [ "$AV" = lgpl ]; then \
      PKG_CONFIG_PATH=/opt/quorum/ffmpeg/lib/pkgconfig LDFLAGS=-Wl,-rpath,/opt/quorum/ffmpeg/lib \
        pip install --no-binary av -c requirements.lock av; \
    fi
RUN if [ "$REQUIRE_HASHES" != 1 ]; then \
      pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -c requirements.lock torch; \
    fi
COPY pyproject.toml setup.py README.md LICENSE ./
COPY quorum quorum
COPY models models
COPY aggregator aggregator
COPY pipeline pipeline
COPY examples examples
COPY deploy/verify_hashes.py deploy/papers.sh deploy/
RUN if [ "$REQUIRE_HASHES" = 1 ]; then \
      pip download --quiet --dest /wheels ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
        -c requirements.lock ".${EXTRAS}" \
      && python deploy/verify_hashes.py requirements.hashes /wheels ${HASHES_EXCEPT} \
      && pip install --no-index --find-links /wheels setuptools \
      && pip install --no-index --find-links /wheels --no-build-isolation ".${EXTRAS}"; \
    else pip install -c requirements.lock ".${EXTRAS}"; fi && pip check
# What is in the image: a bill of materials (CycloneDX) and the licences, beside it.
RUN sh deploy/papers.sh /opt/quorum/bin/python /opt/quorum/share/doc/quorum

FROM python:${PYTHON} AS run
LABEL org.opencontainers.image.title="Quorum" \
      org.opencontainers.image.description="Content moderation as an ensemble on a stream" \
      org.opencontainers.image.licenses="Apache-2.0"
# Chromaprint compares sound; without it the copyright detector compares pictures only.
# libdav1d6 is asked for by the FFmpeg of AV=lgpl alone.
RUN apt-get update && apt-get install --no-install-recommends -y libchromaprint1 libdav1d6 libseccomp2 \
    && rm -rf /var/lib/apt/lists/*
# Models from a registry are kept in the second folder: mount a volume there.
RUN useradd --create-home --uid 10001 --shell /usr/sbin/nologin quorum \
    && install --directory --owner 10001 --mode 0700 /var/cache/quorum
COPY --from=build /opt/quorum /opt/quorum
COPY --chown=root:root examples /app/examples
# All weights are in the image; no model hub is asked for any.
ENV PATH=/opt/quorum/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    QUORUM_CACHE=/var/cache/quorum \
    NUMBA_CACHE_DIR=/tmp/numba
USER 10001
WORKDIR /app
STOPSIGNAL SIGTERM

# Hands a job over to a Flink cluster: Java, and Beam's job server for this version of Flink.
FROM apache/beam_flink${FLINK}_job_server:${BEAM_FLINK} AS job-server
FROM run AS flink
USER root
RUN apt-get update && apt-get install --no-install-recommends -y default-jre-headless \
    && rm -rf /var/lib/apt/lists/*
COPY --from=job-server /opt/apache/beam/jars /opt/apache/beam/jars
RUN ln -s /opt/apache/beam/jars/*job-server*.jar /opt/apache/beam/job-server.jar
ENV QUORUM_FLINK_JOB_SERVER=/opt/apache/beam/job-server.jar
USER 10001
ENTRYPOINT ["quorum"]

# Google's launcher starts this image with /opt/google/dataflow/python_template_launcher, and workers
# with Beam's boot program, which sets up files of the worker's own.
FROM apache/beam_python3.11_sdk:${BEAM} AS beam
FROM gcr.io/dataflow-templates-base/python311-template-launcher-base AS launcher
FROM run AS dataflow
USER root
COPY --from=beam /opt/apache/beam /opt/apache/beam
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/
COPY deploy/dataflow /template
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/launch.py \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
ENTRYPOINT ["/opt/apache/beam/boot"]

FROM run
# The start period covers loading the models; a worker that serves no metrics, or that stands still,
# is unhealthy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s --retries=3 CMD ["quorum", "health"]
ENTRYPOINT ["quorum"]
CMD ["--help"]
