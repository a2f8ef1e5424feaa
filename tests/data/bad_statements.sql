-- Statements for tests/errors.rs: those under `-- setup` must work, those under `-- bad` must give an error.
-- Each ends with a semicolon at the end of a line.

-- setup
CREATE TABLE demand AS SELECT * FROM read_csv('data/demand.csv');
INSERT INTO demand SELECT * FROM read_csv('data/demand_more.csv');
CREATE TABLE strict (a BIGINT NOT NULL, b TEXT);
CREATE VIEW peak AS SELECT max(demand_mwh) AS mwh FROM demand;
CREATE SCHEMA other;
CREATE TABLE points AS SELECT x, z, 3.0 + 2.0 * x - 0.5 * z AS y FROM (VALUES
  (0.0, 1.0), (1.0, 4.0), (2.0, 9.0), (3.0, 1.0), (4.0, 6.0), (5.0, 2.0), (6.0, 8.0), (7.0, 3.0)) AS v(x, z);
TRAIN MODEL plane USING linear_regression TARGET y SPLIT NONE SEED 1 ALIAS champion AS SELECT x, z, y FROM points;

-- bad
-- names
SELECT * FROM demnad;
SELECT * FROM mian.demand;
SELECT * FROM pond.main.demand;
SELECT tempreature_c FROM demand;
SELECT tempo(1);
INSERT INTO demnad VALUES (1);
DROP TABLE demnad;
DROP VIEW peaks;
DROP SCHEMA othr;
DROP TABLE peak;
DROP VIEW demand;
DESCRIBE demnad;
DESCRIBE HISTORY demnad;
USE othr;
SET no_such_setting = 1;
SHOW no_such_setting;

-- what exists already
CREATE TABLE demand (x BIGINT);
CREATE VIEW peak AS SELECT 1 AS one;
CREATE SCHEMA other;
CREATE SCHEMA system;
CREATE TABLE system.mine (x BIGINT);

-- what is not there yet, or never will be
BEGIN;
COMMIT;
UPDATE demand SET holiday = TRUE FROM points;
DELETE FROM demand USING points;
MERGE INTO strict USING points ON TRUE WHEN MATCHED AND random() > 0.5 THEN DELETE;
INSERT OVERWRITE demand PARTITION (time = 1) SELECT * FROM demand;
OPTIMIZE demand WHERE holiday;
ALTER TABLE demand ADD COLUMN holiday BIGINT;
CREATE MODEL m;
CREATE INDEX i ON demand (time);
CREATE TABLE t (x BIGINT PRIMARY KEY);
CREATE TABLE t (x BIGINT) LOCATION 'somewhere';
CREATE TABLE t (x BIGINT) AS SELECT 1;
SELECT * FROM demand TABLESAMPLE (10 PERCENT);
SELECT * FROM demand FOR UPDATE;
EXPLAIN TRAIN MODEL m TARGET y AS SELECT 1;
SELECT 1; SELECT 2;

-- syntax
SELCT 1;
SELECT (1;
SELECT 1 FROM;
CREATE TABLE;
CREATE TABLE t;
SHOW;
TRAIN;
TRAIN MODEL m;
ALTER MODEL plane;
COPY INTO demand;

-- types and values
CREATE TABLE t (x FROBNICATOR);
CREATE TABLE t (x BIGINT, x TEXT);
SELECT CAST('one' AS BIGINT);
SELECT 1 / (value - value) FROM generate_series(1, 3) AS g(value);
INSERT INTO strict VALUES (NULL, 'none');
INSERT INTO strict VALUES (1, 'one', 2);
INSERT INTO strict (a, c) VALUES (1, 2);
INSERT INTO strict VALUES ('one', 'one');
INSERT INTO strict REPLACE WHERE a < 10 VALUES (11, 'eleven');
INSERT INTO strict BY NAME SELECT 1 AS a, 2 AS c;
INSERT OVERWRITE strict PARTITION (a) VALUES (1, 'one');
UPDATE strict SET c = 1;
UPDATE strict SET a = 1, a = 2;
DELETE FROM strict WHERE c = 1;
DELETE FROM demnad;
MERGE INTO strict USING points ON a = x;
MERGE INTO strict USING points ON a = w WHEN MATCHED THEN DELETE;
MERGE INTO strict USING points ON TRUE WHEN NOT MATCHED THEN UPDATE SET a = 1;
MERGE INTO strict USING points ON a = x WHEN NOT MATCHED THEN INSERT (b) VALUES ('none');
UPDATE peak SET mwh = 1;
DELETE FROM system.models;
INSERT INTO peak VALUES (1);
INSERT INTO system.models VALUES ('m');

-- time travel
SELECT * FROM demand VERSION AS OF 7;
SELECT * FROM demand@v7;
SELECT * FROM demand VERSION AS OF -1;
SELECT * FROM demand TIMESTAMP AS OF '1999-01-01T00:00:00Z';
SELECT * FROM demand TIMESTAMP AS OF '2999-01-01T00:00:00Z';
SELECT * FROM demand TIMESTAMP AS OF 'yesterday';
SELECT * FROM demnad VERSION AS OF 0;
SELECT * FROM peak VERSION AS OF 0;
INSERT INTO demand VERSION AS OF 0 SELECT * FROM demand;

-- files
SELECT * FROM read_csv('data/missing.csv');
SELECT * FROM read_csv('data/nothing*.csv');
SELECT count(*) FROM read_csv('data/short_row.csv');
SELECT count(*) FROM read_csv('data/long_row.csv');
SELECT * FROM read_csv('data/demand.csv', delimeter => ';');
SELECT * FROM read_csv();
SELECT * FROM read_parquet('data/demand.csv');
SELECT * FROM read_json('data/demand.csv');
COPY INTO demand FROM 'data/broken_number.csv' FILEFORMAT = CSV;
COPY INTO demand FROM 'data/short_row.csv' FILEFORMAT = CSV;
COPY INTO demand FROM 'data/quoted.csv' FILEFORMAT = CSV;
COPY INTO demand FROM 'data/demand.csv' FILEFORMAT = CVS;
COPY INTO demand FROM 'data/demand' ;
COPY demand TO 'data/demand.csv';

-- training
TRAIN MODEL m USING linear_regresion TARGET y AS SELECT x, z, y FROM points;
TRAIN MODEL m USING linear_regression (fit_intercpt = TRUE) TARGET y AS SELECT x, z, y FROM points;
TRAIN MODEL m USING linear_regression (fit_intercept = 'perhaps') TARGET y AS SELECT x, z, y FROM points;
TRAIN MODEL m USING linear_regression TARGET yy AS SELECT x, z, y FROM points;
TRAIN MODEL m USING linear_regression AS SELECT x, z, y FROM points;
TRAIN MODEL m USING linear_regression TARGET label AS SELECT x, 'a' AS label FROM points;
TRAIN MODEL m USING linear_regression TARGET y AS SELECT x, INTERVAL '1 day' AS spans, y FROM points;
TRAIN MODEL m USING logistic_regression TARGET y AS SELECT x, y FROM points;
TRAIN MODEL m USING linear_regression TARGET y AS SELECT x, y FROM points WHERE x > 1000;
TRAIN MODEL m USING logistic_regression TARGET y SPLIT NONE AS SELECT x, TRUE AS y FROM points;
TRAIN MODEL m USING linear_regression TARGET y SPLIT NONE AS SELECT x, CAST(NULL AS DOUBLE) AS n, y FROM points;
TRAIN MODEL m USING linear_regression TARGET y SPLIT NONE AS SELECT x, CAST(NULL AS DOUBLE) AS y FROM points;
TRAIN MODEL m USING linear_regression TARGET y AS SELECT y FROM points;
TRAIN MODEL m USING linear_regression TARGET y SPLIT BY TIME time 0.2 AS SELECT x, y FROM points;
TRAIN MODEL m USING linear_regression TARGET y SPLIT RANDOM 1.5 AS SELECT x, y FROM points;
TRAIN MODEL m USING linear_regression TARGET y AS SELECT x + random() AS x, y FROM points;
TRAIN MODEL m USING linear_regression TARGET y ALIAS latest AS SELECT x, y FROM points;
TRAIN MODEL m USING linear_regression TARGET y SEED 1 SEED 2 AS SELECT x, y FROM points;
TRAIN MODEL m USING linear_regression TARGET y TUNE (alpha IN (1, 2)) AS SELECT x, y FROM points;
TRAIN MODEL "a/b" USING linear_regression TARGET y AS SELECT x, y FROM points;

-- models
SELECT PREDICT('plain', 1.0, 2.0);
SELECT PREDICT('plane/2', 1.0, 2.0);
SELECT PREDICT('plane/0', 1.0, 2.0);
SELECT PREDICT('plane@champoin', 1.0, 2.0);
SELECT PREDICT('', 1.0, 2.0);
SELECT PREDICT('plane', 1.0);
SELECT PREDICT('plane', 1.0, 2.0, 3.0);
SELECT PREDICT('plane', 1.0, 'two');
SELECT PREDICT('plane') FROM (SELECT 1.0 AS x);
SELECT PREDICT('plane') FROM points a, points b;
SELECT PREDICT(s, 1.0, 2.0) FROM (SELECT 'plane' AS s);
SELECT PREDICT_PROBA('plane', 1.0, 2.0);
ALTER MODEL plane SET ALIAS champion TO VERSION 9;
ALTER MODEL plain SET ALIAS champion TO VERSION 1;
ALTER MODEL plane SET ALIAS v1 TO VERSION 1;
ALTER MODEL plane UNSET ALIAS challenger;
DESCRIBE MODEL plain;
DESCRIBE MODEL plane VERSION 2;
DROP MODEL plain;
DROP MODEL plane VERSION 2;
EVALUATE MODEL plane ON (SELECT 1);

-- users
CREATE USER;
CREATE USER ada PASSWORD;
CREATE USER ada PASSWORD geheim;
CREATE USER ada PASSWORD 'it's me';
CREATE USER ada PASSWORD 'short';
CREATE USER ada ROLE admin;
CREATE USER "a:b";
CREATE USER local;
CREATE OR REPLACE USER ada;
ALTER USER nobody PASSWORD 'long enough';
ALTER USER nobody RENAME TO somebody;
DROP USER nobody;
CREATE TOKEN FOR nobody;
CREATE TOKEN night FOR nobody EXPIRES IN 3 WEEKS;
CREATE TOKEN night FOR nobody EXPIRES IN 0 DAYS;
DROP TOKEN tk000000000000;
