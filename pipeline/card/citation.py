"""How a dataset is to be cited."""

from gritmill.pipeline.card.facts import Facts

HOME = "https://github.com/gritmill/gritmill"
_KOSMOS_2 = """\
@article{peng2023kosmos2,
  title = {Kosmos-2: Grounding Multimodal Large Language Models to the World},
  author = {Peng, Zhiliang and Wang, Wenhui and Dong, Li and Hao, Yaru and Huang, Shaohan and Ma, Shuming
            and Wei, Furu},
  journal = {arXiv preprint arXiv:2306.14824},
  year = {2023}
}"""


def citation(facts: Facts) -> str:
    """BibTeX: the recipe's own or a plain entry, and the paper whose method made the expressions."""
    own = facts.card.citation.strip() or "\n".join(
        [
            f"@misc{{{facts.name},",
            f"  title = {{{facts.name}}},",
            f"  note = {{Made with gritmill, {HOME}; files {facts.fingerprint}}}",
            "}",
        ]
    )
    return f"{own}\n\n{_KOSMOS_2}" if facts.has_stage("referring_expressions") else own
