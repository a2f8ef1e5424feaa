package limn.samples;

import static java.util.Map.entry;

import java.sql.Connection;
import java.sql.Date;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.Types;
import java.util.List;

/** Binds parameters: four rows to one INSERT, and three values to a query. */
public final class Parameters {
    private record Person(long id, String name, double price, boolean active, String day) {
    }

    private static final List<Person> PEOPLE = List.of(
        new Person(1, "Ada", 1.5, true, "2026-01-01"),
        new Person(2, "Grace", 2.5, true, "2026-01-02"),
        new Person(3, null, 3.5, false, "2026-01-03"),
        new Person(4, "Zoë", 4.5, true, "2026-01-04"));

    private Parameters() {
    }

    public static void main(String[] arguments) {
        Server.main(arguments, server -> {
            try (Connection connection = server.connect()) {
                Server.run(connection, "DROP TABLE IF EXISTS sample_parameters");
                Server.run(connection,
                    "CREATE TABLE sample_parameters (id BIGINT, name VARCHAR, price DOUBLE, active BOOLEAN, day DATE)");
                long inserted = insert(connection);
                long matched = match(connection, 2.0, true, Date.valueOf("2026-01-02"));
                System.out.printf("%d rows inserted, %d of them match%n", inserted, matched);
                System.out.println(Server.json(List.of(entry("matched", matched), entry("inserted", inserted))));
            }
        });
    }

    /** All rows in one message and one commit. */
    private static long insert(Connection connection) throws Exception {
        try (PreparedStatement insert =
                connection.prepareStatement("INSERT INTO sample_parameters VALUES (?, ?, ?, ?, ?)")) {
            for (Person person : PEOPLE) {
                insert.setLong(1, person.id());
                if (person.name() == null) {
                    insert.setNull(2, Types.VARCHAR);
                } else {
                    insert.setString(2, person.name());
                }
                insert.setDouble(3, person.price());
                insert.setBoolean(4, person.active());
                insert.setDate(5, Date.valueOf(person.day()));
                insert.addBatch();
            }
            long inserted = 0;
            // This driver answers one count for the whole batch.
            for (int count : insert.executeBatch()) {
                inserted += count;
            }
            return inserted;
        }
    }

    private static long match(Connection connection, double price, boolean active, Date day) throws Exception {
        String sql =
            "SELECT count(*) AS matched FROM sample_parameters WHERE price >= ? AND active = ? AND day >= ?";
        try (PreparedStatement select = connection.prepareStatement(sql)) {
            select.setDouble(1, price);
            select.setBoolean(2, active);
            select.setDate(3, day);
            try (ResultSet result = select.executeQuery()) {
                result.next();
                return result.getLong("matched");
            }
        }
    }
}
