"""Flight SQL by hand over `pyarrow.flight`: what the programs that stand for drivers without a Python package share."""

import pyarrow as pa
from pyarrow import flight

from check import expect
from protobuf import packed, parsed, unpacked


class Client:
    """A connection that sends commands as a C++ driver builds them: one call after the other, no session of its own."""

    def __init__(self, url, options=None):
        self.flight = flight.FlightClient(url)
        self.options = options or flight.FlightCallOptions()

    def info(self, name, *fields):
        """`GetFlightInfo` of a command."""
        descriptor = flight.FlightDescriptor.for_command(packed(name, *fields))
        return self.flight.get_flight_info(descriptor, self.options)

    def read(self, info):
        """The rows behind the one endpoint, whose schema must be the one that was promised."""
        expect(len(info.endpoints), 1, "the number of endpoints")
        expect(list(info.endpoints[0].locations), [], "the endpoint's locations")
        reader = self.flight.do_get(info.endpoints[0].ticket, self.options)
        expect(reader.schema, info.schema, "the schema of the stream")
        assert reader.schema.equals(info.schema, check_metadata=True), "the stream's metadata differ from the promise"
        return reader.read_all()

    def table(self, name, *fields):
        """The rows of a command."""
        return self.read(self.info(name, *fields))

    def query(self, sql):
        """The rows of a statement, asked for as ODBC, Superset and Grafana ask: whatever it is, as a query."""
        return self.table("CommandStatementQuery", (1, sql))

    def put(self, name, fields, batch=None, schema=None):
        """`DoPut` of a command with a batch or none; gives the parsed answer's fields."""
        descriptor = flight.FlightDescriptor.for_command(packed(name, *fields))
        schema = schema or (pa.schema([]) if batch is None else batch.schema)
        writer, reader = self.flight.do_put(descriptor, schema, self.options)
        if batch is not None:
            writer.write_batch(batch)
        writer.done_writing()
        answer = reader.read()
        writer.close()
        return parsed(answer.to_pybytes()) if answer is not None else {}

    def action(self, name, body):
        """The bodies that an action answers."""
        return [result.body.to_pybytes() for result in self.flight.do_action(flight.Action(name, body), self.options)]

    def prepare(self, sql):
        """A prepared statement: (handle, dataset schema's bytes, parameter schema's bytes)."""
        (body,) = self.action("CreatePreparedStatement", packed("ActionCreatePreparedStatementRequest", (1, sql)))
        fields = unpacked(body, "ActionCreatePreparedStatementResult")
        return tuple(fields.get(number, [b""])[0] for number in (1, 2, 3))

    def close_prepared(self, handle):
        """Closes a prepared statement; one that is unknown is closed already."""
        self.action("ClosePreparedStatement", packed("ActionClosePreparedStatementRequest", (1, handle)))
