# The program `farewell` in an image that has nothing else: no shell, no libc.
#
#   docker build -t farewell .
#   docker run --rm -p 8081:8081 farewell
#   docker run --rm -p 8081:8081 -v "$PWD/photos:/srv:ro" farewell /srv --cache-control max-age=60

# On Alpine, Rust's default target is musl, which links statically.
FROM rust:1-alpine AS build
WORKDIR /src
COPY . .
# The caches are not part of a layer, so the program is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p farewell-cli \
    && cp target/release/farewell /farewell

FROM scratch
COPY --from=build /farewell /farewell
# A number, because the image has no /etc/passwd, and because `runAsNonRoot` of Kubernetes
# can check a number only.
USER 65532:65532
# A variable, so that arguments of `docker run` are further options. A container has an
# address of its own: on the default 127.0.0.1 nothing outside of it could connect.
ENV FAREWELL_LISTEN=:8081
EXPOSE 8081
# SIGTERM drains; it is the default too, but a derived image may have set another.
STOPSIGNAL SIGTERM
# The exec form: a shell would get the signal, and not pass it on.
ENTRYPOINT ["/farewell"]
