"""Run the slow proofs and rewrite docs/proofs.md: `python -m benchmarks.proofs [--small] [NAME…]`.

A proof that is not named keeps its last result, and so does one that needs what this machine lacks
(bf16, for example), which is reported. With `--small` those that have a small size are
tried at that, and nothing is written down. Exit status 1 where one fails.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.proofs import bad_day, batch, fuzzing, learning, memory, seams
from benchmarks.proofs.result import Missing, Proof
from benchmarks.record import commit, machine, measured_at

PAGE = Path(__file__).parents[2] / "docs" / "proofs.md"
RESULTS = Path(__file__).with_name("results.json")
PROOFS: dict[str, Proof] = {
    **memory.PROOFS, **seams.PROOFS, **batch.PROOFS, **bad_day.PROOFS, **fuzzing.PROOFS,
    **learning.PROOFS,
}  # fmt: skip
SMALL: dict[str, Proof] = {**batch.SMALL, **bad_day.SMALL, **fuzzing.SMALL}


def main(names: list[str]) -> int:
    """Run the named proofs (all without names). Returns the exit status."""
    is_small = "--small" in names
    names = [name for name in names if name != "--small"]
    proofs = SMALL if is_small else PROOFS
    unknown = set(names) - set(proofs)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(proofs)}")
        return 2
    store = RESULTS
    results = json.loads(store.read_text()) if store.exists() else {}
    failed = 0
    for name in names or proofs:
        print(f"{name} …", flush=True)
        try:
            result = proofs[name]()
        except Missing as missing:
            print(f"  skipped: {missing}", flush=True)
            continue
        failed += not result.holds
        print(f"  {'holds' if result.holds else 'FAILS'}: {result.measured}", flush=True)
        if is_small:
            continue
        results[name] = {
            "claim": result.claim,
            "measured": result.measured,
            "holds": result.holds,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "commit": commit(),
            "machine": f"{machine()}, Linux, Python {sys.version.split()[0]}",
        }
        store.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n")
        PAGE.write_text(page(results))
    return 1 if failed else 0


def page(results: dict[str, dict[str, object]]) -> str:
    """The results as a Markdown page."""
    lines = [
        "# Does it keep its promises?",
        "",
        "Each row tests a promise at full size. `make proof` runs all of them (hours on two cores)",
        "and writes this page; `python -m benchmarks.proofs NAME` runs one. Peak memory is that of",
        "the whole process (VmHWM).",
        "",
        "| proof | claim | measured | holds | when |",
        "|---|---|---|---|---|",
    ]
    for name in PROOFS:
        if name in results:
            r = results[name]
            holds = "yes" if r["holds"] else "**no**"
            lines.append(
                f"| {name} | {r['claim']} | {r['measured']} | {holds} | {measured_at(r)} |"
            )
        else:
            lines.append(f"| {name} | | not run yet | | |")
    machines = sorted({str(r["machine"]) for r in results.values()})
    return "\n".join([*lines, "", *(f"Machine: {name}." for name in machines), ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
