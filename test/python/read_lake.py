"""Reads a lake with one of the tools that users have, and prints what it found as JSON.

    python read_lake.py pyarrow|pandas|polars|duckdb LAKE [streams]

"streams" is one entry per stream folder: rows, sums, the least and greatest symbol, and the first and last
local_timestamp in microseconds since the epoch, with the time zone that the tool gives them. "all" is the
lake's root opened at once, rows and times by stream; null where the tool cannot. With "streams" it is left out:
where symbols have folders, those of the datasets have other keys in their paths.
"""

import json
import os
import sys

# What is summed per stream: numbers that every tool adds up, doubles as well as integers.
SUMMED = {
    "bbo": ["seq", "bid_price", "ask_amount"],
    "trade": ["seq", "price", "amount", "count"],
    "mark_price": ["seq", "mark_price", "index_price"],
    "funding": ["seq", "funding_rate"],
    "liquidation": ["seq", "price", "filled_amount"],
    "instruments": ["tick_size", "contract_size"],
}


def read_pyarrow(folder, stream):
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    table = ds.dataset(folder, format="parquet", partitioning="hive").to_table()
    times = table.column("local_timestamp")
    micros = pc.cast(times, "int64")
    # Of a path it is a dictionary.
    symbols = pc.cast(table.column("symbol"), "string")
    return {
        "rows": table.num_rows,
        "sums": {name: pc.sum(table.column(name)).as_py() for name in SUMMED[stream]},
        "symbols": [pc.min(symbols).as_py(), pc.max(symbols).as_py()],
        "first": pc.min(micros).as_py(),
        "last": pc.max(micros).as_py(),
        "zone": times.type.tz,
        "unit": times.type.unit,
    }


def all_pyarrow(root):
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    table = ds.dataset(root, format="parquet", partitioning="hive").to_table(columns=["stream", "local_timestamp"])
    table = table.set_column(1, "us", pc.cast(table.column("local_timestamp"), "int64"))
    table = table.set_column(0, "stream", pc.cast(table.column("stream"), "string"))
    grouped = table.group_by("stream").aggregate([("us", "count"), ("us", "min"), ("us", "max")]).to_pylist()
    return {row["stream"]: [row["us_count"], row["us_min"], row["us_max"]] for row in grouped}


def read_pandas(folder, stream):
    import pandas as pd

    frame = pd.read_parquet(folder)
    times = frame["local_timestamp"]
    micros = times.dt.as_unit("us").astype("int64")
    return {
        "rows": len(frame),
        "sums": {name: frame[name].sum().item() for name in SUMMED[stream]},
        # Of a path it is a category, without an order.
        "symbols": [frame["symbol"].astype(str).min(), frame["symbol"].astype(str).max()],
        "first": int(micros.min()),
        "last": int(micros.max()),
        "zone": str(times.dt.tz),
        "unit": times.dt.unit,
    }


def all_pandas(root):
    import pandas as pd

    frame = pd.read_parquet(root, columns=["stream", "local_timestamp"])
    frame["us"] = frame["local_timestamp"].dt.as_unit("us").astype("int64")
    grouped = frame.groupby(frame["stream"].astype(str))["us"].agg(["count", "min", "max"])
    return {str(name): [int(row["count"]), int(row["min"]), int(row["max"])] for name, row in grouped.iterrows()}


def read_polars(folder, stream):
    import polars as pl

    frame = pl.scan_parquet(os.path.join(folder, "**/*.parquet"), hive_partitioning=True).collect()
    times = frame["local_timestamp"]
    micros = times.dt.epoch("us")
    return {
        "rows": frame.height,
        "sums": {name: frame[name].sum() for name in SUMMED[stream]},
        "symbols": [frame["symbol"].min(), frame["symbol"].max()],
        "first": micros.min(),
        "last": micros.max(),
        "zone": times.dtype.time_zone,
        "unit": times.dtype.time_unit,
    }


def all_polars(root):
    import polars as pl

    rows = (
        pl.scan_parquet(
            os.path.join(root, "**/*.parquet"),
            hive_partitioning=True,
            missing_columns="insert",
            extra_columns="ignore",
        )
        .select("stream", pl.col("local_timestamp").dt.epoch("us").alias("us"))
        .group_by("stream")
        .agg(pl.col("us").count().alias("rows"), pl.col("us").min().alias("first"), pl.col("us").max().alias("last"))
        .collect()
        .rows()
    )
    return {row[0]: list(row[1:]) for row in rows}


def read_duckdb(folder, stream):
    import duckdb

    source = f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
    sums = ", ".join(f'sum("{name}")' for name in SUMMED[stream])
    rows, low, high, first, last, zone, *summed = duckdb.sql(
        "SELECT count(*), min(symbol), max(symbol), epoch_us(min(local_timestamp)), epoch_us(max(local_timestamp)), "
        f"any_value(typeof(local_timestamp)), {sums} FROM {source}"
    ).fetchall()[0]
    return {
        "rows": rows,
        "sums": dict(zip(SUMMED[stream], map(float, summed))),
        "symbols": [low, high],
        "first": first,
        "last": last,
        "zone": "UTC" if zone == "TIMESTAMP WITH TIME ZONE" else zone,
        "unit": "us",
    }


def all_duckdb(root):
    import duckdb

    rows = duckdb.sql(
        "SELECT stream, count(*), epoch_us(min(local_timestamp)), epoch_us(max(local_timestamp)) "
        f"FROM read_parquet('{root}/**/*.parquet', hive_partitioning = true, union_by_name = true) GROUP BY stream"
    ).fetchall()
    return {row[0]: list(row[1:]) for row in rows}


def main():
    tool, lake = sys.argv[1], sys.argv[2]
    base = os.path.join(lake, "v1", "exchange=binance")
    names = sorted(name.split("=", 1)[1] for name in os.listdir(base))
    read = globals()[f"read_{tool}"]
    # What the recorder writes about itself has nothing to add up: it is read with the whole lake.
    streams = {name: read(os.path.join(base, f"stream={name}"), name) for name in names if name in SUMMED}
    alone = sys.argv[3:] == ["streams"]
    print(json.dumps({"streams": streams, "all": {} if alone else globals()[f"all_{tool}"](lake)}))


main()
