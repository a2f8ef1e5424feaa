"""The session of a connection of the ADBC driver, which takes its token from an answer in the background."""

import adbc_driver_manager

from check import expect

OPTION = "adbc.flight.sql.session.option.statement_timeout"


def hold(connection):
    """Sets an option of the session and waits until the driver's calls are of that session, at times not the next one."""
    connection.adbc_connection.set_options(**{OPTION: "2min"})
    expect(next((True for _ in range(1000) if option(connection) == "2min"), False), True, OPTION)


def option(connection):
    """The value of the option, None where the session has none."""
    try:
        return connection.adbc_connection.get_option(OPTION)
    except adbc_driver_manager.Error as error:
        expect(error.status_code, adbc_driver_manager.AdbcStatusCode.NOT_FOUND, OPTION)
        return None
