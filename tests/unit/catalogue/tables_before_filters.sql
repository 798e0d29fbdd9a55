BEGIN TRANSACTION;
CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL);
INSERT INTO "counter" VALUES(1,1);
CREATE TABLE items (
    item_id TEXT PRIMARY KEY, position REAL NOT NULL, submitted REAL NOT NULL,
    payload TEXT NOT NULL, exit_status TEXT NOT NULL, run_uids TEXT NOT NULL,
    run_numbers TEXT NOT NULL, reason TEXT NOT NULL, finished REAL);
CREATE TABLE runs (
    uid TEXT PRIMARY KEY, number INTEGER NOT NULL, plan TEXT NOT NULL, command TEXT NOT NULL,
    user TEXT NOT NULL, item_id TEXT NOT NULL, path TEXT NOT NULL, start_time REAL NOT NULL,
    end_time REAL, exit_status TEXT NOT NULL, reason TEXT NOT NULL, devices TEXT NOT NULL,
    num_points INTEGER, metadata TEXT NOT NULL, archive_path TEXT NOT NULL);
INSERT INTO "runs" VALUES('a1',1,'scan','scan samx -1 1 5','ada','','/d/1.nxs',10.0,20.0,'success','','["samx", "diode"]',5,'{"sample": {"name": "Fe2O3"}, "proposal": "p1", "temperature_K": 4.5, "scan_group": {"name": "knife", "uid": "g1"}}','/d/1.nxs.docs');
INSERT INTO "runs" VALUES('b2',2,'count','','','','',30.0,NULL,'open','','["cam"]',NULL,'{"note": "Gr\u00f6\u00dfe"}','');
CREATE UNIQUE INDEX runs_number ON runs (number);
CREATE INDEX runs_status ON runs (exit_status);
CREATE INDEX items_status ON items (exit_status);
COMMIT;
