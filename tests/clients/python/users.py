"""Every way in which Python's Flight clients say who they are.

Arguments: the server's URL, a token of `ada`; her password is `correct:horse`. It fails with the first thing that is not
as expected, and prints nothing otherwise.
"""

import sys
from urllib.parse import quote, urlsplit

import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager
import flightsql
import flightsql.sqlalchemy  # registers the dialect
import pyarrow.flight as flight
import sqlalchemy as sa
from adbc_driver_flightsql import DatabaseOptions

from check import expect

USER, PASSWORD = "ada", "correct:horse"
# printf 'ada:correct:horse' | base64
BASIC = "Basic YWRhOmNvcnJlY3Q6aG9yc2U="


def ask(url, sql="SELECT current_user", parameters=None, **options):
    with dbapi.connect(url, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def adbc(url, token):
    header = DatabaseOptions.AUTHORIZATION_HEADER.value
    expect(ask(url, username=USER, password=PASSWORD), [("ada",)], "user and password")
    expect(ask(url, **{header: f"Bearer {token}"}), [("ada",)], "a token")
    expect(ask(url, **{header: BASIC}), [("ada",)], "Basic in each call")
    for what, options in [
        ("a wrong password", {"username": USER, "password": "correct"}),
        ("a user who does not exist", {"username": "eve", "password": PASSWORD}),
        ("a forged token", {header: f"Bearer {token[:-4]}0000"}),
        ("nothing", {}),
    ]:
        try:
            found = ask(url, **options)
        except adbc_driver_manager.Error as error:
            expect(error.status_code, adbc_driver_manager.AdbcStatusCode.UNAUTHENTICATED, what)
        else:
            raise AssertionError(f"{what} was let in: {found}")


def passwords_are_parameters(url):
    admin = {"username": USER, "password": PASSWORD}
    ask(url, "CREATE USER bob PASSWORD ?", ("battery staple",), **admin)
    expect(ask(url, username="bob", password="battery staple"), [("bob",)], "a password that was bound")
    ask(url, "ALTER USER bob PASSWORD $1", ("new password",), **admin)
    expect(ask(url, username="bob", password="new password"), [("bob",)], "a new password that was bound")
    made = ask(url, "CREATE TOKEN job FOR bob EXPIRES IN 1 DAY", **admin)
    expect((len(made), made[0][1]), (1, "bob"), "a token's row")
    expect(len(ask(url, "SHOW TOKENS", **admin)), 2, "a token was made once")


def superset(url, token):
    """flightsql-dbapi, by itself and under SQLAlchemy. Its token goes into each call; its password into a handshake."""
    address = urlsplit(url)
    place = {"host": address.hostname, "port": address.port, "insecure": True}
    for what, options in [("user and password", {"user": USER, "password": PASSWORD}), ("a token", {"token": token})]:
        with flightsql.connect(flightsql.FlightSQLClient(**place, **options)) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT current_user")
            expect(cursor.fetchall(), [[USER]], what)
    base = f"{address.hostname}:{address.port}?insecure=true"
    for url in [f"datafusion+flightsql://{USER}:{quote(PASSWORD)}@{base}", f"datafusion+flightsql://{base}&token={token}"]:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            expect(connection.execute(sa.text("SELECT current_user")).scalar(), USER, url)
        expect("main" in sa.inspect(engine).get_schema_names(), True)
        engine.dispose()
    # Without either it says `Bearer None`.
    for options in [{}, {"token": "wrong"}]:
        try:
            flightsql.connect(flightsql.FlightSQLClient(**place, **options)).cursor().execute("SELECT 1")
        except flight.FlightUnauthenticatedError:
            continue
        raise AssertionError(f"{options} was let in")


def arrow_flight(url, token):
    location = url.replace("grpc://", "grpc+tcp://")
    with flight.connect(location) as client:
        name, value = client.authenticate_basic_token(USER, PASSWORD)
        expect((name, value[:7]), (b"authorization", b"Bearer "), "the session's token")
        options = flight.FlightCallOptions(headers=[(name, value)])
        expect(len(list(client.list_actions(options))) > 0, True, "the session's token is accepted")
        bearer = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])
        expect(len(list(client.list_actions(bearer))) > 0, True, "an API token is accepted")
        for wrong in ["", "correct"]:
            try:
                client.authenticate_basic_token(USER, wrong)
            except flight.FlightUnauthenticatedError:
                continue
            raise AssertionError(f"the password `{wrong}` was let in")


if __name__ == "__main__":
    url, token = sys.argv[1:]
    adbc(url, token)
    passwords_are_parameters(url)
    arrow_flight(url, token)
    superset(url, token)
