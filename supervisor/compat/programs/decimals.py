"""decimal, fractions and statistics; the digits of pi to the hundredth place, in threads with contexts of their own."""

import decimal
import fractions
import statistics
import threading


def pi(places):
    with decimal.localcontext() as context:
        context.prec = places + 5
        three = decimal.Decimal(3)
        lasts, t, s, n, na, d, da = 0, three, three, 1, 0, 0, 24
        while s != lasts:
            lasts = s
            n, na = n + na, na + 8
            d, da = d + da, da + 32
            t = (t * n) / d
            s += t
    return str(s)[:places + 2]


def main():
    found = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: pi(n)})) for n in (10, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"pi": [found[10], found[100]], "third": str(fractions.Fraction(1, 3) + fractions.Fraction("0.125")),
            "deviation": str(statistics.stdev(map(decimal.Decimal, (1, 2, 4))))}
