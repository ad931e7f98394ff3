FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build \
    CARGO_TARGET_DIR=/build cargo build --locked --profile dist \
    && install -m 755 /build/dist/plimsoll /usr/local/bin/plimsoll

# The library that runs models, out of its package for Python.
FROM python:3.11-slim-bookworm AS onnxruntime
ARG ONNXRUNTIME=1.31.1
RUN pip install --no-cache-dir --no-deps --target /package "onnxruntime==$ONNXRUNTIME" \
    && install -m 755 "/package/onnxruntime/capi/libonnxruntime.so.$ONNXRUNTIME" /libonnxruntime.so

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/plimsoll --create-home plimsoll
COPY --from=build /usr/local/bin/plimsoll /usr/local/bin/plimsoll
COPY --from=onnxruntime /libonnxruntime.so /usr/local/lib/libonnxruntime.so
# The checks and gates that deploy/plimsoll.toml names; the configuration itself is the user's, mounted beside them.
COPY sql/checks /etc/plimsoll/checks
COPY sql/gates /etc/plimsoll/gates
USER plimsoll
WORKDIR /var/lib/plimsoll
ENV PLIMSOLL_CONFIG=/etc/plimsoll/plimsoll.toml
ENV ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so
VOLUME /var/lib/plimsoll
EXPOSE 8080
ENTRYPOINT ["plimsoll"]
CMD ["up"]
