import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Energy demand with Limn, told in Java: from a CSV file to a prediction, and back to how it was made.
 *
 * <p>It talks Flight SQL through the stock JDBC driver, with the same statements as energy.py.
 */
public final class Energy {
    /** What the model learns from. The self-join looks one week back: people's weeks resemble each other. */
    private static final String FEATURES = """
        SELECT d.time, d.demand_mwh,
               d.temperature_c AS temperature,
               d.temperature_c * d.temperature_c AS temperature_squared,
               sin(pi() * date_part('hour', d.local_time) / 12) AS hour_sin,
               cos(pi() * date_part('hour', d.local_time) / 12) AS hour_cos,
               date_part('dow', d.local_time) IN (0, 6) AS weekend,
               d.holiday,
               w.demand_mwh AS demand_last_week
        FROM demand{version} AS d
        JOIN demand{version} AS w ON w.site = d.site AND w.time = d.time - INTERVAL '7 days'
        """;

    private final Connection connection;
    private final Map<String, Object> numbers = new LinkedHashMap<>();

    private Energy(Connection connection) {
        this.connection = connection;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new LinkedHashMap<>();
        options.put("--url", "jdbc:arrow-flight-sql://127.0.0.1:50051?useEncryption=false");
        options.put("--limn", "limn");
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
        Path scratch = Files.createTempDirectory("energy");
        Path generated = scratch.resolve("energy.csv");
        try {
            String csv = options.get("--csv");
            if (csv == null) {
                csv = generate(options.get("--limn"), generated);
            }
            try (Connection connection = DriverManager.getConnection(options.get("--url"))) {
                Energy energy = new Energy(connection);
                energy.load(csv);
                energy.train();
                energy.predict();
                energy.readBack();
                System.out.println(json(energy.numbers));
            }
        } finally {
            Files.deleteIfExists(generated);
            Files.delete(scratch);
        }
    }

    /** Makes data with Limn's own generator: three sites, a year and a half. */
    private static String generate(String limn, Path path) throws Exception {
        Process process = new ProcessBuilder(
            limn, "generate", "energy", "--sites", "3", "--days", "550", "--seed", "42", "--out", path.toString())
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
        if (process.waitFor() != 0) {
            throw new IllegalStateException("`" + limn + " generate energy` failed");
        }
        return path.toString();
    }

    /** Two commits: the first three quarters of the period, then the rest. */
    private void load(String csv) throws SQLException {
        String source = "read_csv('" + csv + "')";
        String site = columns("SELECT * FROM " + source + " LIMIT 1").contains("site") ? "site" : "'all'";
        Object cut = one("""
            SELECT CAST(max(time) AS TEXT) FROM (
              SELECT time, ntile(4) OVER (ORDER BY time) AS quarter FROM %s) WHERE quarter = 3""".formatted(source))
            .get(0);
        String row = "SELECT %s AS site, time, local_time, demand_mwh, temperature_c, holiday FROM %s"
            .formatted(site, source);

        update("DROP TABLE IF EXISTS demand");
        update("CREATE TABLE demand AS " + row + " WHERE time <= TIMESTAMPTZ '" + cut + "'");
        update("INSERT INTO demand " + row + " WHERE time > TIMESTAMPTZ '" + cut + "'");

        numbers.put("cut", cut);
        numbers.put("rows_version_0", one("SELECT count(*) FROM demand VERSION AS OF 0").get(0));
        numbers.put("rows_latest", one("SELECT count(*) FROM demand").get(0));
        try (PreparedStatement peaks =
                connection.prepareStatement("SELECT count(*) FROM demand WHERE demand_mwh > ?")) {
            peaks.setDouble(1, 6000.0);
            try (ResultSet result = peaks.executeQuery()) {
                numbers.put("peaks", row(result).get(0));
            }
        }
        System.out.printf("version 0 of the table has %s rows, the latest %s%n",
            numbers.get("rows_version_0"), numbers.get("rows_latest"));
    }

    /** Trains on version 1 of the table and names the result. */
    private void train() throws SQLException {
        String sql = """
            TRAIN MODEL demand USING linear_regression TARGET demand_mwh
            SPLIT BY TIME time 0.2 SEED 42 EXPERIMENT energy
            AS\s""" + FEATURES.replace("{version}", " VERSION AS OF 1");
        try (Statement statement = connection.createStatement();
                ResultSet trained = statement.executeQuery(sql)) {
            trained.next();
            numbers.put("model_version", trained.getLong("version"));
            numbers.put("artifact_sha256", trained.getString("artifact_sha256"));
            numbers.put("rows_trained", trained.getLong("rows"));
            System.out.printf("trained `demand` version %d: %s%n",
                trained.getLong("version"), trained.getString("metrics"));
        }
        update("ALTER MODEL demand SET ALIAS champion TO VERSION " + numbers.get("model_version"));
    }

    /** Scores the held-out period (the last fifth of the rows) by the model's alias, and measures in SQL. */
    private void predict() throws SQLException {
        List<Object> measured = one("""
            WITH features AS (%s),
            ranked AS (SELECT time, row_number() OVER (ORDER BY time DESC) AS back, count(*) OVER () AS n FROM features),
            held_out AS (
              SELECT * FROM features WHERE time >= (SELECT min(time) FROM ranked WHERE back <= ceil(0.2 * n))),
            scored AS (SELECT time, demand_mwh, PREDICT('demand@champion') AS predicted FROM held_out)
            SELECT count(*), sqrt(avg((predicted - demand_mwh) * (predicted - demand_mwh))),
                   100 * avg(abs(predicted - demand_mwh) / demand_mwh), sum(predicted)
            FROM scored""".formatted(FEATURES.replace("{version}", "")));
        numbers.put("held_out_rows", measured.get(0));
        numbers.put("rmse", measured.get(1));
        numbers.put("mape", measured.get(2));
        numbers.put("predicted_total", measured.get(3));
        System.out.printf("over %s held-out half-hours: RMSE %.1f MWh, mean error %.2f %%%n", measured.toArray());
    }

    /** How the model came to be, from the system tables alone. */
    private void readBack() throws SQLException {
        Object version = numbers.get("model_version");
        List<Object> run = one("""
            SELECT r.run_id, e.name, r.status, r.algorithm, r.seed
            FROM system.model_versions v JOIN system.runs r ON r.run_id = v.run_id
            JOIN system.experiments e ON e.experiment_id = r.experiment_id
            WHERE v.name = 'demand' AND v.version = %s""".formatted(version));
        String ofRun = " WHERE run_id = '" + run.get(0) + "'";
        numbers.put("experiment", run.get(1));
        numbers.put("status", run.get(2));
        numbers.put("algorithm", run.get(3));
        numbers.put("seed", run.get(4));
        numbers.put("params", one("SELECT count(*) FROM system.params" + ofRun).get(0));
        numbers.put("registry_rmse",
            one("SELECT value FROM system.metrics" + ofRun + " AND key = 'rmse'").get(0));
        List<Object> input = one("SELECT table_name, version FROM system.inputs" + ofRun);
        numbers.put("input_table", input.get(0));
        numbers.put("input_version", input.get(1));
        numbers.put("alias_version",
            one("SELECT version FROM system.model_aliases WHERE name = 'demand' AND alias = 'champion'").get(0));
        numbers.put("registry_sha256", one(
            "SELECT artifact_sha256 FROM system.model_versions WHERE name = 'demand' AND version = " + version).get(0));
        System.out.printf("run %s of `%s` %s: %s with seed %s%n", run.toArray());
    }

    private void update(String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate(sql);
        }
    }

    /** The only row of a query. */
    private List<Object> one(String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            return row(result);
        }
    }

    private static List<Object> row(ResultSet result) throws SQLException {
        if (!result.next()) {
            throw new IllegalStateException("expected one row, found none");
        }
        List<Object> values = new ArrayList<>();
        for (int i = 1; i <= result.getMetaData().getColumnCount(); i++) {
            values.add(result.getObject(i));
        }
        if (result.next()) {
            throw new IllegalStateException("expected one row, found more");
        }
        return values;
    }

    private List<String> columns(String sql) throws SQLException {
        List<String> names = new ArrayList<>();
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            for (int i = 1; i <= result.getMetaData().getColumnCount(); i++) {
                names.add(result.getMetaData().getColumnLabel(i));
            }
        }
        return names;
    }

    private static String json(Map<String, Object> values) {
        List<String> fields = new ArrayList<>();
        values.forEach((name, value) -> fields.add(
            "\"" + name + "\": " + (value instanceof Number ? value : "\"" + value + "\"")));
        return "{" + String.join(", ", fields) + "}";
    }
}
