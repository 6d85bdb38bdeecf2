# Run once by PostgreSQL's image, when the database is made: the box's own role, which is no superuser.
psql --set ON_ERROR_STOP=1 --username postgres --dbname postgres <<SQL
CREATE ROLE millwright LOGIN PASSWORD '$(cat /run/secrets/database_password)';
CREATE DATABASE millwright OWNER millwright TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE millwright FROM PUBLIC;
SQL
