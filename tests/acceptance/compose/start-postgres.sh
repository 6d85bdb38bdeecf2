# As the official image starts PostgreSQL: make the database once, run what lies beside it, then serve.
set -eu
sockets=/var/run/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # shellcheck disable=SC2086 # several words
  initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --pgdata="$PGDATA" $POSTGRES_INITDB_ARGS
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses='' -k $sockets" start
  export PGHOST=$sockets
  for script in /docker-entrypoint-initdb.d/*.sh; do
    # shellcheck disable=SC1090 # whatever is mounted there
    . "$script"
  done
  pg_ctl --pgdata="$PGDATA" --wait --mode=fast stop
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -k "$sockets"
