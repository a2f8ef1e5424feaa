package limn.samples;

import static java.util.Map.entry;

import java.sql.Connection;
import java.util.List;
import java.util.Map;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.sql.FlightSqlClient;
import org.apache.arrow.flight.sql.FlightSqlClient.ExecuteIngestOptions;
import org.apache.arrow.flight.sql.impl.FlightSql.CommandStatementIngest.TableDefinitionOptions;
import org.apache.arrow.flight.sql.impl.FlightSql.CommandStatementIngest.TableDefinitionOptions.TableExistsOption;
import org.apache.arrow.flight.sql.impl.FlightSql.CommandStatementIngest.TableDefinitionOptions.TableNotExistOption;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.arrow.vector.util.Text;

/** Loads a million rows through bulk ingestion, in batches that are made as they are sent. */
public final class BulkIngest {
    private static final int ROWS = 1_000_000;
    private static final int BATCH_ROWS = 65_536;

    private BulkIngest() {
    }

    public static void main(String[] arguments) {
        Server.main(arguments, server -> {
            long began = System.nanoTime();
            long written = ingest(server);
            System.out.printf("wrote %d rows in %.1f s, making them included%n", written,
                (System.nanoTime() - began) / 1e9);
            try (Connection connection = server.connect()) {
                List<Object> row = Server.row(connection,
                    "SELECT count(*) AS row_count, sum(id) AS sum_id FROM sample_bulk_ingest");
                System.out.println(Server.json(List.of(entry("rows", row.get(0)), entry("sum_id", row.get(1)))));
            }
        });
    }

    /** One call, one commit: a table of these rows, in place of an earlier one. */
    private static long ingest(Server server) throws Exception {
        TableDefinitionOptions replace = TableDefinitionOptions.newBuilder()
            .setIfNotExist(TableNotExistOption.TABLE_NOT_EXIST_OPTION_CREATE)
            .setIfExists(TableExistsOption.TABLE_EXISTS_OPTION_REPLACE)
            .build();
        ExecuteIngestOptions into = new ExecuteIngestOptions("sample_bulk_ingest", replace, null, null, Map.of());
        Location location = server.encrypted
            ? Location.forGrpcTls(server.host, server.port)
            : Location.forGrpcInsecure(server.host, server.port);
        try (BufferAllocator allocator = new RootAllocator();
                FlightSqlClient client = new FlightSqlClient(FlightClient.builder(allocator, location).build());
                Rows rows = new Rows(allocator)) {
            return client.executeIngest(rows, into);
        }
    }

    /** The rows, one batch in memory at a time. */
    private static final class Rows extends ArrowReader {
        private int next;

        Rows(BufferAllocator allocator) {
            super(allocator);
        }

        @Override
        protected Schema readSchema() {
            return new Schema(List.of(
                Field.nullable("id", new ArrowType.Int(64, true)),
                Field.nullable("amount", new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE)),
                Field.nullable("label", ArrowType.Utf8.INSTANCE)));
        }

        @Override
        public boolean loadNextBatch() throws java.io.IOException {
            prepareLoadNextBatch();
            VectorSchemaRoot root = getVectorSchemaRoot();
            BigIntVector id = (BigIntVector) root.getVector("id");
            Float8Vector amount = (Float8Vector) root.getVector("amount");
            VarCharVector label = (VarCharVector) root.getVector("label");
            int count = Math.min(BATCH_ROWS, ROWS - next);
            for (int row = 0; row < count; row++) {
                int i = next + row;
                id.setSafe(row, i);
                amount.setSafe(row, i * 0.5);
                label.setSafe(row, new Text("label-" + i % 1000));
            }
            root.setRowCount(count);
            next += count;
            return count > 0;
        }

        @Override
        public long bytesRead() {
            return 0;
        }

        @Override
        protected void closeReadSource() {
            // The rows come from nowhere.
        }
    }
}
