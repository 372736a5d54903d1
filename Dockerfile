# Onceward in a container: the database and onceward.toml are in /data.
#
#   docker build -t onceward .
#   docker run -p 8080:8080 -v onceward:/data -v ./onceward.toml:/data/onceward.toml:ro --stop-timeout 15 onceward
#
# Both listeners are on loopback unless onceward.toml says otherwise, and loopback is the container's own: a file for a
# container needs at least
#
#   listen = "0.0.0.0:8080"
#
# The admin listener can stay on loopback, where it needs no token and `docker exec` reaches it. To publish it, set
# `admin.listen = "0.0.0.0:8081"` and `admin.token`, and add `-p 127.0.0.1:8081:8081`.

# The build stage has the same C library as the final one: Debian 12's.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep the crates and what was built of them from one build of the image to the next. They are not part of
# any layer, so the program is moved out of them in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release --bin onceward \
    && install -D target/release/onceward /out/onceward \
    && mkdir /out/data

# libc, libgcc and the certificates of public authorities; no shell and no package manager.
FROM gcr.io/distroless/cc-debian12
COPY --from=build /out/onceward /usr/local/bin/onceward
# A new volume takes over the owner of the folder that it covers.
COPY --from=build --chown=65532:65532 /out/data /data
# By number, so that an orchestrator can see that it is not root.
USER 65532:65532
WORKDIR /data
VOLUME /data
# Webhooks, and the admin API.
EXPOSE 8080 8081
# Finds the listener in ./onceward.toml, as `serve` does, and falls back on the default address. Where `serve` is given
# another file or address, give the same to the health check (`--health-cmd`).
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["onceward", "healthcheck"]
ENTRYPOINT ["onceward"]
# Named, so that a missing file is an error that says so.
CMD ["serve", "-c", "/data/onceward.toml"]
