# pfes: point-supervised facial expression spotting, from face videos to leave-one-subject-out results.
# Stages in the order of the data flow; each has one rule file, one module in src/pfes and one folder in results/<run>.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"  # configuration, dataset, folds, paths
include: "rules/dataset.smk"  # tables of videos and expressions; renders the demo


if IMPORTED:

    include: "rules/imported.smk"  # snippets as they were published

else:

    include: "rules/faces.smk"  # landmarks and quality of every video
    include: "rules/flow.smk"  # SW-MRO optical flow at the regions of interest
    include: "rules/snippets.smk"  # head motion removed
    include: "rules/displacement.smk"  # against the rest, over whole recordings


include: "rules/points.smk"  # one labelled frame per expression
include: "rules/train.smk"  # one model per experiment, fold and seed
include: "rules/features.smk"  # SpotFormer features of that model
include: "rules/spot.smk"  # scores and proposals, learned and training-free
include: "rules/evaluate.smk"  # counts, F1, summary
include: "rules/intensity.smk"  # continuous intensity, a system of its own
include: "rules/report.smk"  # figures and the page
include: "rules/compare.smk"  # experiments side by side


localrules:
    all,
    complete,
    experiment,
    intensity,
    intensity_complete,
    events,
    points,
    spotted,
    subject,


RESULTS = [
    RUN / "report.html",
    RUN / "summary.json",
    RUN / "figures/comparison.svg",
    RUN / "figures/apex_distance.svg" if POINT_SUPERVISED else [],
    expand(RUN / "figures/pseudo_labels/{name}.svg", name=POINT_SUPERVISED),
    expand(RUN / "spot/{name}/settings.json", name=LEARNED),
    RUN / "complete.txt",
    PAPER_TABLES,
    INTENSITY_RESULTS if config["intensity"]["enabled"] else [],
]


rule all:
    default_target: True
    input:
        RESULTS,


onsuccess:
    for path in PAPER_TABLES:
        if path.exists():
            print(f"\n{path}\n{path.read_text()}")
