-- What was used, by hour: quantity / scale is in the unit of the price line (meter/units.py).
CREATE TABLE usage (
    hour     INTEGER NOT NULL,  -- since the epoch
    account  TEXT NOT NULL,
    region   TEXT NOT NULL,
    service  TEXT NOT NULL,
    kind     TEXT NOT NULL,
    resource TEXT NOT NULL,
    scale    INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (hour, account, region, service, kind, resource, scale)
) WITHOUT ROWID;
