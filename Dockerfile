#   docker build -t verdier .                                (BuildKit, the default since Docker 23)
#   docker run --rm -p 8000:8000 verdier                     the demo model, chat page at http://localhost:8000
#   docker run --rm -p 8080:8080 verdier --port=8080 --model=/models/x
#
# Arguments are the server's flags, as with vLLM's image. Kubernetes "args" replace them, and both
# args and command may start with "python -m vllm.entrypoints.api_server".

# One image for both stages. A JRE would save 200 MB, but the start-up cache that the build trains
# is bound to the class image of the JVM that trained it: another one refuses it at every start.
ARG JAVA=eclipse-temurin:25-jdk

# The GPU kernels need NVIDIA's compiler, some gigabytes; what they need to run is the host's driver alone.
ARG CUDA=nvidia/cuda:13.0.1-devel-ubuntu24.04
FROM ${CUDA} AS kernels
WORKDIR /src
COPY engine/src/main/cuda/ .
RUN sh build.sh /kernels.fatbin "sm_80 sm_86 sm_89 sm_90a sm_100 sm_120 compute_80 compute_90"

# A model on several GPUs needs NVIDIA's NCCL besides, 200 to 300 MB, and no driver brings it:
# --build-arg NCCL=false leaves it out. It comes from the compiler's image (package libnccl2), with its licence.
ARG NCCL=true
RUN mkdir -p /nccl/lib /nccl/licenses && if [ "$NCCL" = true ]; then \
      cp -L /usr/lib/*-linux-gnu/libnccl.so.2 /nccl/lib/ && cp /usr/share/doc/libnccl2/copyright /nccl/licenses/NCCL; \
    fi

FROM ${JAVA} AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=kernels /kernels.fatbin /kernels.fatbin
ENV VERDIER_CUDA_KERNELS=/kernels.fatbin
RUN --mount=type=cache,target=/root/.m2 ./verdier build

FROM ${JAVA}
LABEL org.opencontainers.image.title="Verdier" \
      org.opencontainers.image.description="LLM inference server for the JVM, drop-in for vLLM on Vertex AI" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"

# Group 0 may write where the user may, so that a platform can choose the user id.
RUN useradd --uid 10001 --gid 0 --no-create-home --home-dir /var/cache/verdier --shell /usr/sbin/nologin verdier \
 && install -d -o 10001 -g 0 -m 0775 /var/cache/verdier

COPY --from=build /src/verticles/target/verdier/ /opt/verdier/
COPY conf/src/main/container/python /usr/local/bin/python
COPY conf/src/main/container/python /usr/local/bin/python3
COPY conf/src/main/container/ray_launcher.sh /vllm-workspace/ray_launcher.sh
COPY LICENSE /opt/verdier/LICENSE
COPY --from=kernels /nccl/lib/ /usr/lib/
COPY --from=kernels /nccl/licenses/ /opt/verdier/licenses/

# Downloads, packed weights and unpacked native libraries. Mount a volume to keep them.
# No variable here may start with AIP_: Vertex AI sets those.
ENV VERDIER_HOME=/opt/verdier \
    VERDIER_CACHE_DIR=/var/cache/verdier \
    DJL_CACHE_DIR=/var/cache/verdier/djl \
    HF_HOME=/var/cache/verdier/huggingface \
    PATH=/opt/verdier/bin:/opt/java/openjdk/bin:/usr/local/bin:/usr/bin:/bin

# By number: Kubernetes cannot check runAsNonRoot on a name.
USER 10001:0
WORKDIR /var/cache/verdier

# 8000 without --port, as with vLLM; Vertex AI asks for 8080 through --port or AIP_HTTP_PORT.
EXPOSE 8000 8080

# For plain Docker; Kubernetes and Vertex AI probe /health themselves. It looks at AIP_HTTP_PORT, else 8000:
# with another --port give docker run --health-cmd 'verdier health --port=N' as well.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10m --retries=3 \
  CMD ["/opt/verdier/bin/verdier", "health"]

# Exec form: the server is process 1 and gets SIGTERM, on which it finishes its running streams.
ENTRYPOINT ["/opt/verdier/bin/verdier", "serve"]
CMD []
