"""ADBC creates the first user: it asks for the statement's result, which the server has closed itself to meanwhile.

Argument: the URL of a server without users. It fails with the first thing that is not as expected.
"""

import sys

import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager

from check import expect


def main(url):
    with dbapi.connect(url, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("CREATE USER ada PASSWORD 'correct:horse'")
            expect(cursor.fetchall(), [], "the statement has no rows")
            try:
                cursor.execute("SELECT 1")
            except adbc_driver_manager.Error as error:
                expect(error.status_code, adbc_driver_manager.AdbcStatusCode.UNAUTHENTICATED, "the server is closed")
            else:
                raise AssertionError("the server is open")
    options = {"username": "ada", "password": "correct:horse"}
    with dbapi.connect(url, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        expect(cursor.fetchall(), [("ada",)], "the first user")


if __name__ == "__main__":
    main(*sys.argv[1:])
