# gridfield in a container.
#
#   docker build -t gridfield .                                with kernels for GPUs and CPUs
#   docker build -t gridfield --build-arg KERNELS=cpu .        for CPUs alone: no compiler for GPUs is fetched
#   docker run --rm --gpus all -v "$PWD":/work gridfield train myscene
#
# A GPU needs NVIDIA's driver, 530 or later, and its container toolkit on the host; nothing of CUDA is in the image. What a
# release consists of (scripts/release.sh), in the folder dist:
#
#   docker build --target release --output dist .

FROM rust:1.95-bookworm AS source
# Of the compilers, the image has GCC 12 already. Versions are those of the Debian release: within one, packages only get
# fixes, and older ones disappear from its servers.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .

FROM source AS build
ARG KERNELS=cuda
RUN if [ "$KERNELS" = cpu ]; then export NVCC=none; else scripts/fetch-nvcc.sh; fi \
    && cargo build --release --locked \
    && strip --strip-debug target/release/gridfield

FROM source AS release-build
RUN cargo install --locked cargo-about --features cli \
    && scripts/release.sh /dist

FROM scratch AS release
COPY --from=release-build /dist /

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libstdc++6 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/gridfield /usr/local/bin/gridfield
COPY --from=build /src/scenes /usr/local/share/doc/gridfield/scenes
# What NVIDIA's container toolkit brings in from the host's driver.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
ENTRYPOINT ["gridfield"]
CMD ["--help"]
