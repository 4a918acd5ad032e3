"""The figures as a table, as goals that are met or not, and as a picture."""

import io

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

import packages as packaged  # noqa: E402
import processors as taken  # noqa: E402
import session_cells  # noqa: E402
import tool_calls  # noqa: E402
from prints import PRINTS  # noqa: E402

# What of the floor's own differs more from round to round says that the machine was busy with something else.
MOST_SPREAD = 1.3

# Subjects in the order of the tables.
ORDER = ("warm", "warm, before", "cold", "cold, before", "floor", "predecessor", "nsjail")


def goals(figures):
    """Where it must get to, as ratios within this run: what, the ratio, its bound, and whether it holds; on a machine that was busy
    with something else nobody can tell."""
    rows = []
    quiet = figures["floor_spread"] <= MOST_SPREAD

    def at_most(what, ratio, bound):
        rows.append({"goal": what, "ratio": round(ratio, 3), "bound": f"at most {bound}", "met": ratio <= bound if quiet else None})

    def at_least(what, ratio, bound):
        rows.append({"goal": what, "ratio": round(ratio, 3), "bound": f"at least {bound}", "met": ratio >= bound if quiet else None})

    for key, how in ways(figures):
        p50 = {load: {name: of[50] for name, of in subjects.items()} for load, subjects in figures[key].items()}
        for load, bound in (("2 + 2", 0.4), ("pandas", 0.5)):
            if load in p50:
                at_most(f"p50 of {load}, {how}, warm to the floor", p50[load]["warm"] / p50[load]["floor"], bound)
        for load, bound in (("2 + 2", 10), ("pandas", 80)):
            for other in ("predecessor", "nsjail"):
                if load in p50 and other in p50[load]:
                    at_least(f"p50 of {load}, {how}, {other} to warm", p50[load][other] / p50[load]["warm"], bound)
    for load in ("2 + 2", "pandas"):
        if load in figures["throughput"]:
            warm, floor = figures["throughput"][load]["warm"], figures["throughput"][load]["floor"]
            at_least(f"rate of {load} at 8 clients, warm to the floor on two cores", warm[8] / floor[8], 0.6)
            at_least(f"rate of {load} at 64 clients to that at 8", warm[64] / warm[8], 0.9)
    for way, of in figures["prints"].items():
        at_most(f"{PRINTS:,} prints, {way}, to as many into a file", of["ratio"], 3)
    if rows_beside := figures["neighbours"]:
        loud = [row for kind, row in rows_beside["now"].items() if not kind.startswith("alone")]
        at_most("requests that failed beside neighbours", sum(sum(row["failed"].values()) for row in loud), 0)
        at_most("p99 of 2 + 2 beside the worst of neighbours, in ms", max(row["p99"] or float("inf") for row in loud), 250)
    for what, figure, bound in tool_calls.goals(figures["tools"]) if figures["tools"] else ():
        at_most(what, figure, bound)
    for what, figure, bound in session_cells.goals(figures["sessions"]) if figures["sessions"] else ():
        at_most(what, figure, bound)
    for what, figure, bound in taken.goals(figures["processors"]) if figures["processors"] else ():
        at_most(what, figure, bound)
    if dense := figures["density"]:
        at_least("of 1,000 jobs asleep at once, answered", dense["at once"]["answered"] / dense["at once"]["jobs"], 1)
        at_most("private memory of a parked child, in MiB", dense["parked"]["private_kib"] / 1024, 6)
        at_most("time of the last tenth of jobs in a row to the first", dense["in a row"]["last_ms"] / dense["in a row"]["first_ms"], 1.1)
    return rows


def ways(figures):
    """The two ways in which one client asks: where their figures are, and their names."""
    return (("sequential", "one request after another"), ("with pauses", f"{figures['pause_ms']} ms between requests"))


def table(figures):
    parts = [figures["machine"]]
    for key, how in ways(figures):
        for load, subjects in figures[key].items():
            rows = [("", "p50 ms", "p90 ms", "p99 ms", "to warm")]
            for name in filter(subjects.get, ORDER):
                of = subjects[name]
                rows.append((name, *(f"{of[percentile]:.2f}" for percentile in (50, 90, 99)), f"{of[50] / subjects['warm'][50]:.2f}"))
            parts.append(f"{load}: one client, {how}\n" + aligned(rows))
    for load, subjects in figures["throughput"].items():
        clients = list(next(iter(subjects.values())))
        rows = [("clients", *map(str, clients))]
        rows += [(name, *(f"{subjects[name][count]:.1f}" for count in clients)) for name in filter(subjects.get, ORDER)]
        parts.append(f"{load}: answers a second\n" + aligned(rows))
    parts += before_and_after(figures)
    if figures["neighbours"]:
        parts.append(neighbours(figures["neighbours"]))
    if figures["tools"]:
        parts.append(measured_tools(figures["tools"]))
    if figures["sessions"]:
        parts.append(measured_sessions(figures["sessions"]))
    if figures["processors"]:
        parts.append(measured_processors(figures["processors"]))
    if figures["used"]:
        parts.append(used(figures["used"]))
    rows = [("an allowed call", "in a job, ns", "no filter, ns", "ratio")]
    rows += [(call, f"{of['job_ns']:.0f}", f"{of['unfiltered_ns']:.0f}", f"{of['ratio']:.2f}") for call, of in figures["allowed calls"].items()]
    parts.append(aligned(rows))
    rows = [(f"{PRINTS:,} prints", "into a file, ms", "printed, ms", "ratio")]
    rows += [(way, f"{of['file']:.0f}", f"{of['stdout']:.0f}", f"{of['ratio']:.2f}") for way, of in figures["prints"].items()]
    parts.append(aligned(rows))
    if dense := figures["density"]:
        parts.append("\n".join(f"{what}: " + ", ".join(f"{name} {round(value, 2)}" for name, value in of.items()) for what, of in dense.items()))
    told = {True: "met", False: "NOT MET", None: "not judged"}
    rows = [("goal", "ratio", "bound", "")]
    rows += [(row["goal"], f"{row['ratio']:.2f}", row["bound"], told[row["met"]]) for row in figures["goals"]]
    parts.append(aligned(rows))
    if figures["floor_spread"] > MOST_SPREAD:
        parts.append(f"Nothing is judged: the floor's own p50 differed by {figures['floor_spread']:.2f} from round to round, so that something "
                     "else was busy on this machine. Measure again when it is not, or with more --rounds and --seconds.")
    return "\n\n".join(parts)


def before_and_after(figures):
    """What has changed for each load, as ratios of now to before."""
    rows = [("now to before", "p50", "p90", "p99", "rate, 1 client", "rate, 8 clients")]
    for load, subjects in figures["sequential"].items():
        for name in ("warm", "cold"):
            if before := subjects.get(f"{name}, before"):
                rates, rates_before = (figures["throughput"][load][which] for which in (name, f"{name}, before"))
                ratios = [subjects[name][percentile] / before[percentile] for percentile in (50, 90, 99)] + [rates[count] / rates_before[count] for count in (1, 8)]
                rows.append((f"{load}, {name}", *(f"{ratio:.2f}" for ratio in ratios)))
    return [aligned(rows)] if rows[1:] else []


def packages(figures):
    """Pictures, models and workbooks, and what is wanted of them."""
    return aligned(list(packaged.rows(figures))) + "\n\n" + wanted(packaged.goals(figures))


def wanted(goals):
    """What is wanted of a part that is measured alone, and whether it is so."""
    rows = [("goal", "figure", "bound", "")]
    rows += [(what, f"{figure:.3f}", f"at most {bound}", "met" if figure <= bound else "NOT MET") for what, figure, bound in goals]
    return aligned(rows)


def tools(figures):
    """Calls of tools, and what is wanted of them."""
    return measured_tools(figures) + "\n\n" + wanted(tool_calls.goals(figures))


def measured_tools(figures):
    return aligned(list(tool_calls.rows(figures))) + "\n\n" + aligned(list(tool_calls.jobs(figures)))


def processors(figures):
    """What a job takes of the processors, by process, and what is wanted of it."""
    return measured_processors(figures) + "\n\n" + wanted(taken.goals(figures))


def measured_processors(figures):
    return aligned(list(taken.rows(figures))) + "\n\n" + aligned(list(taken.stages(figures)))


def sessions(figures):
    """Cells of sessions, and what is wanted of them."""
    return measured_sessions(figures) + "\n\n" + wanted(session_cells.goals(figures))


def measured_sessions(figures):
    tables = (session_cells.rows, session_cells.forked, session_cells.held)
    return "\n\n".join(aligned(list(table(figures))) for table in tables)


def neighbours(figures):
    """What one client waits for `2 + 2` beside another's jobs."""
    parts = []
    for when, kinds in figures.items():
        rows = [(f"beside ({when})", "p50 ms", "p99 ms", "max ms", "p99 to alone", "requests", "failed")]
        for kind, row in kinds.items():
            cells = ("" if row[column] is None else f"{row[column]:.1f}" for column in ("p50", "p99", "max", "p99 to alone"))
            failed = ", ".join(f"{count} x {what}" for what, count in row["failed"].items()) or "0"
            rows.append((kind, *cells, str(row["requests"]), failed))
        parts.append(aligned(rows))
    return "\n\n".join(parts)


def used(figures):
    """A mix of import sets, each way that they can be kept warm."""
    rows = [("20 import sets, by Zipf's law", "p50 ms", "p99 ms", "memory MiB", "CPU ms a job, refill included")]
    for way, of in figures.items():
        rows.append((way, f"{of['p50']:.1f}", f"{of['p99']:.1f}", str(of["memory_mib"]), f"{of['cpu_ms']:.1f}"))
    return aligned(rows)


def aligned(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:]))]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def picture(sequential):
    """How many of the answers came within which time, a panel a workload, as SVG."""
    figure, panels = pyplot.subplots(1, len(sequential), figsize=(4.2 * len(sequential), 4), squeeze=False, layout="constrained")
    for panel, (load, subjects) in zip(panels[0], sequential.items()):
        for name in filter(subjects.get, ORDER):
            percentiles = subjects[name]
            panel.plot(list(percentiles.values()), list(percentiles), marker=".", label=name)
        panel.set(title=load, xscale="log", xlabel="latency, ms", ylabel="% of answers", ylim=(0, 101))
        panel.grid(True, which="both", alpha=0.3)
        panel.legend()
    image = io.StringIO()
    figure.savefig(image, format="svg")
    return image.getvalue()
