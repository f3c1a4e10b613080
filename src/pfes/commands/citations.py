"""The works that a run may rest on, as BibTeX and as a label for plain text."""

from collections.abc import Iterable
from typing import NamedTuple


class Work(NamedTuple):
    """A work: label in plain text, kind and fields of its BibTeX entry."""

    label: str
    kind: str
    fields: dict[str, str]


def _work(label: str, kind: str, **fields: str) -> Work:
    return Work(label, kind, fields)


WORKS = {
    "gim2025": _work(
        "Deng et al., 2025", "inproceedings", author="Deng and Hayashi and Nagahara", year="2025",
        title="Gaussian-Based Instance-Adaptive Intensity Modeling for Point-Supervised Facial Expression Spotting",
        booktitle="International Conference on Learning Representations",
    ),
    "gim2026": _work(
        "Deng et al., 2026a", "article", author="Deng and Hayashi and Nagahara", year="2026",
        title="Gaussian-Based Instance-Adaptive Intensity Modeling, journal version",
        journal="IEEE Transactions on Biometrics, Behavior, and Identity Science", doi="10.1109/TBIOM.2026.3651893",
    ),
    "spotformer": _work(
        "Deng et al., 2026b", "article", author="Deng and Hayashi and Nagahara", year="2026", title="SpotFormer",
        journal="IEEE Transactions on Affective Computing", doi="10.1109/TAFFC.2026.3677401",
    ),
    "tvl1": _work(
        "Zach et al., 2007", "inproceedings", author="Zach and Pock and Bischof", year="2007",
        title="A Duality Based Approach for Realtime TV-L1 Optical Flow", doi="10.1007/978-3-540-74936-3_22",
    ),
    "mediapipe": _work(
        "Lugaresi et al., 2019", "misc", author="Lugaresi and others", year="2019",
        title="MediaPipe: A Framework for Building Perception Pipelines", eprint="1906.08172", archiveprefix="arXiv",
    ),
    "dlib": _work(
        "King, 2009", "article", author="King, Davis E.", year="2009", title="Dlib-ml: A Machine Learning Toolkit",
        journal="Journal of Machine Learning Research", volume="10", pages="1755--1758",
    ),
    "farneback": _work(
        "Farnebäck, 2003", "inproceedings", author="Farneb{\\\"a}ck, Gunnar", year="2003",
        title="Two-Frame Motion Estimation Based on Polynomial Expansion", doi="10.1007/3-540-45103-X_50",
    ),
    "softnms": _work(
        "Bodla et al., 2017", "inproceedings", author="Bodla and Singh and Chellappa and Davis", year="2017",
        title="Soft-NMS", booktitle="IEEE International Conference on Computer Vision", doi="10.1109/ICCV.2017.593",
    ),
    "moilanen": _work(
        "Moilanen et al., 2014", "inproceedings", author="Moilanen and Zhao and Pietik{\\\"a}inen", year="2014",
        title="Spotting Rapid Facial Movements from Videos Using Appearance-Based Feature Difference Analysis",
        booktitle="International Conference on Pattern Recognition", doi="10.1109/ICPR.2014.303",
    ),
    "lac": _work(
        "Lee and Byun, 2021", "inproceedings", author="Lee and Byun", year="2021",
        title="Learning Action Completeness from Points", eprint="2108.05029", archiveprefix="arXiv",
    ),
    "hrpro": _work(
        "Zhang et al., 2024", "inproceedings", author="Zhang and others", year="2024", title="HR-Pro",
        eprint="2308.12608", archiveprefix="arXiv",
    ),
    "tsp": _work(
        "Xia et al., 2024", "inproceedings", author="Xia and others", year="2024",
        title="Realigning Confidence with Temporal Saliency Information", doi="10.1109/CVPR52733.2024.01745",
    ),
    "sfnet": _work(
        "Ma et al., 2020", "inproceedings", author="Ma and others", year="2020", title="SF-Net",
        eprint="2003.06845", archiveprefix="arXiv",
    ),
    "casme2": _work(
        "Qu et al., 2018", "article", author="Qu and others", year="2018", title="CAS(ME)^2",
        journal="IEEE Transactions on Affective Computing", doi="10.1109/TAFFC.2017.2654440",
    ),
    "samm_lv": _work(
        "Yap et al., 2020", "inproceedings", author="Yap and others", year="2020", title="SAMM Long Videos",
        doi="10.1109/FG47880.2020.00029",
    ),
    "casme3": _work(
        "Li et al., 2022", "article", author="Li and others", year="2022", title="CAS(ME)^3",
        doi="10.1109/TPAMI.2022.3174895",
    ),
    "snakemake": _work(
        "Mölder et al., 2021", "article", author="M{\\\"o}lder and others", year="2021",
        title="Sustainable Data Analysis with Snakemake", journal="F1000Research", doi="10.12688/f1000research.29032.2",
    ),
    "pytorch": _work(
        "Paszke et al., 2019", "inproceedings", author="Paszke and others", year="2019",
        title="PyTorch: An Imperative Style, High-Performance Deep Learning Library",
        booktitle="Advances in Neural Information Processing Systems",
    ),
}  # fmt: skip


def bibtex(keys: Iterable[str]) -> str:
    """Return the entries of the works ``keys``, a BibTeX file."""
    entries = []
    for key in keys:
        fields = "".join(f"  {name} = {{{value}}},\n" for name, value in WORKS[key].fields.items())
        entries.append(f"@{WORKS[key].kind}{{{key},\n{fields}}}\n")
    return "\n".join(entries)
