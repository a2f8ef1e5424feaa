package limn.samples;

import static java.util.Map.entry;

import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.List;

/** Learns a line in SQL, asks it for values, and reads the model's row in the registry. */
public final class Model {
    private Model() {
    }

    public static void main(String[] arguments) {
        Server.main(arguments, server -> {
            try (Connection connection = server.connect()) {
                Server.run(connection, "DROP TABLE IF EXISTS sample_line");
                Server.run(connection, """
                    CREATE TABLE sample_line AS
                    SELECT CAST(value AS DOUBLE) AS x, 2.0 * value + 1.0 AS y FROM generate_series(0, 999)""");
                Server.run(connection, "DROP MODEL IF EXISTS sample_model");
                train(connection);
            }
        });
    }

    private static void train(Connection connection) throws Exception {
        String sql = """
            TRAIN MODEL sample_model USING linear_regression TARGET y SPLIT NONE SEED 1
            AS SELECT x, y FROM sample_line""";
        long version;
        long rows;
        String algorithm;
        try (Statement statement = connection.createStatement(); ResultSet trained = statement.executeQuery(sql)) {
            trained.next();
            version = trained.getLong("version");
            algorithm = trained.getString("algorithm");
            rows = trained.getLong("rows");
        }
        List<Object> line = Server.row(connection, """
            SELECT PREDICT('sample_model', 0.0) AS intercept,
                   PREDICT('sample_model', 1.0) - PREDICT('sample_model', 0.0) AS coefficient""");
        System.out.printf("y = %s x + %s%n", line.get(1), line.get(0));
        try (Statement statement = connection.createStatement(); ResultSet registered = statement.executeQuery("""
                SELECT name, version, algorithm, target, rows FROM system.model_versions
                WHERE name = 'sample_model' ORDER BY version""")) {
            while (registered.next()) {
                System.out.printf("version %d: %s of `%s` on %d rows%n", registered.getLong("version"),
                    registered.getString("algorithm"), registered.getString("target"), registered.getLong("rows"));
            }
        }
        System.out.println(Server.json(List.of(entry("coefficient", line.get(1)), entry("intercept", line.get(0)),
            entry("version", version), entry("algorithm", algorithm), entry("rows", rows))));
    }
}
