"""zoneinfo and datetime over the hours that summer time repeats, and all zones that there are."""

import datetime
import zoneinfo


def main():
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    twice = [datetime.datetime(2024, 10, 27, 2, 30, tzinfo=berlin, fold=fold).isoformat() for fold in (0, 1)]
    names = zoneinfo.available_timezones()
    loaded = sum(zoneinfo.ZoneInfo(name).utcoffset(datetime.datetime(2024, 1, 1)) is not None for name in names)
    return {"twice": twice, "all load": loaded == len(names) > 400}
