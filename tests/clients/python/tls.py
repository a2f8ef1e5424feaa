"""ADBC over TLS, with a password and with a certificate.

Arguments: the server's URL, and files with the authority to trust, the certificate of `ada` and its key. It fails with
the first thing that is not as expected, and prints nothing otherwise.
"""

import sys
from pathlib import Path

import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager
from adbc_driver_flightsql import DatabaseOptions

from check import expect


def who(url, **options):
    with dbapi.connect(url, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return cursor.fetchone()[0]


if __name__ == "__main__":
    url, authority, certificate, key = sys.argv[1], *(Path(file).read_text() for file in sys.argv[2:])
    trust = {DatabaseOptions.TLS_ROOT_CERTS.value: authority}
    expect(who(url, username="root", password="battery staple", **trust), "root", "a password over TLS")
    mutual = {DatabaseOptions.MTLS_CERT_CHAIN.value: certificate, DatabaseOptions.MTLS_PRIVATE_KEY.value: key}
    expect(who(url, **trust, **mutual), "ada", "a certificate")
    try:
        found = who(url, username="root", password="battery staple")
    except adbc_driver_manager.Error as error:
        expect(error.status_code, adbc_driver_manager.AdbcStatusCode.IO, "a server that is not trusted")
    else:
        raise AssertionError(f"a server that is not trusted was asked: {found}")
