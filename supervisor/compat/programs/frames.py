"""pandas: groups, a join, time series, and files that are written and read back."""

import pandas as pd


def main():
    sales = pd.DataFrame({"shop": list("abab"), "day": pd.date_range("2024-01-01", periods=4), "sum": [1, 2, 3, 4]})
    sales.to_csv("sales.csv", index=False)
    sales.to_json("sales.json")
    sales.to_pickle("sales.pickle")
    shops = pd.DataFrame({"shop": ["a", "b"], "city": ["Ulm", "Bonn"]})
    joined = pd.read_csv("sales.csv", parse_dates=["day"]).merge(shops, on="shop")
    weekly = joined.set_index("day").resample("2D")["sum"].sum()
    return {"by city": joined.groupby("city")["sum"].sum().to_dict(), "weekly": weekly.tolist(),
            "same": bool(pd.read_pickle("sales.pickle").equals(sales))}
