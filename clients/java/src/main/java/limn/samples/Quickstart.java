package limn.samples;

import static java.util.Map.entry;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.List;

/** Makes a table, fills it, reads it, and reads what it was before. */
public final class Quickstart {
    private Quickstart() {
    }

    public static void main(String[] arguments) {
        Server.main(arguments, server -> {
            try (Connection connection = server.connect()) {
                Server.run(connection, "DROP TABLE IF EXISTS sample_quickstart");
                Server.run(connection, "CREATE TABLE sample_quickstart (id BIGINT, item VARCHAR, amount BIGINT)");
                Server.run(connection, "INSERT INTO sample_quickstart VALUES (1, 'apple', 10), (2, 'pear', 20)");
                Server.run(connection, "INSERT INTO sample_quickstart VALUES (3, 'plum', 30)");

                try (Statement statement = connection.createStatement(); ResultSet items =
                        statement.executeQuery("SELECT id, item, amount FROM sample_quickstart ORDER BY id")) {
                    while (items.next()) {
                        System.out.printf("%d %-6s %d%n", items.getLong("id"), items.getString("item"),
                            items.getLong("amount"));
                    }
                }
                List<Object> latest = Server.row(connection,
                    "SELECT count(*) AS row_count, sum(amount) AS total FROM sample_quickstart");
                // Every write made a version, and each of them can still be read.
                List<Object> before = Server.row(connection,
                    "SELECT count(*) AS row_count FROM sample_quickstart VERSION AS OF 1");
                System.out.println(Server.json(List.of(entry("rows", latest.get(0)), entry("sum", latest.get(1)),
                    entry("rows_at_version_1", before.get(0)))));
            }
        });
    }
}
