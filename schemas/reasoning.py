"""What a reasoning model thought before it answered, told from its answer by the marks around it.

Servers that are set up for the model put it apart (`reasoning_content`); else it comes as the model wrote it.
Marks, as the parsers of vLLM and llama.cpp know them:

    <think>...</think>        DeepSeek, Qwen, GLM; <thinking>, <thought>, <reasoning>, <seed:think>, ... alike
    [THINK]...[/THINK]        Magistral
    ◁think▷...◁/think▷        Kimi
    <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>      gpt-oss
    <|channel>thought...<channel|>                                                             Gemma 4
    <|think|>...<|end|><|begin|>assistant<|content|>                                           Solar
    <|START_THINKING|>...<|END_THINKING|><|START_RESPONSE|>                                    Command A
    <|begin_of_thought|>...<|end_of_thought|><|begin_of_solution|>                             Sky-T1
    <|inner_prefix|>...<|inner_suffix|>                                                        Apertus
    Here is my thought process: ... Here is my response:                                       Granite
    <SUMMARY>...<REASONING>...</REASONING><CONCLUSION>                                         LLaVA-CoT
"""

import re

_WORDS = r"think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad"
_NAME = rf"(?:\w{{1,20}}[:_])?(?:{_WORDS})(?:_\w{{1,20}})?"
_TURN = r"<\|(?:start|begin)\|>assistant"
_HEADER = r"[^<\n]{0,40}(?:<\|constrain\|>[^<\n]{0,40})?<\|message\|>"
_MARK = re.compile(
    rf"(?P<final>(?:{_TURN})?<\|channel\|>final{_HEADER}|</reasoning>\s{{0,20}}<conclusion>)"
    rf"|(?P<open><{_NAME}(?:\s[^<>\n]{{0,80}})?>|\[think\]|◁think▷|<\|channel>thought"
    r"|<\|(?:think|start_thinking|begin_of_thought|inner_prefix)\|>|here(?:'s| is) my thought process:"
    rf"|(?:{_TURN})?<\|channel\|>(?:analysis|commentary){_HEADER})"
    rf"|(?P<close></{_NAME}>|\[/think\]|◁/think▷|<channel\|>|<\|/think\|>|</\|think\|>"
    r"|<\|(?:end_thinking|end_of_thought|inner_suffix)\|>|here(?:'s| is) my response:)"
    rf"|(?P<end><\|end\|>(?:{_TURN}<\|content\|>)?)",
    re.IGNORECASE,
)
_BARE = re.compile(r"\s*(?:assistant)?analysis(?=[A-Z])(?:.*assistantfinal)?", re.DOTALL)
"""gpt-oss's, where its special tokens were left out of the text."""
_AROUND = re.compile(
    r"\A(?:<(?:answer|response)>|<\|(?:START_RESPONSE|begin_of_solution)\|>)\s*"
    r"|\s*(?:</(?:answer|response|conclusion)>|<\|(?:END_RESPONSE|end_of_solution|end|return)\|>)\Z",
    re.IGNORECASE,
)
"""What such models write around the answer itself."""
_PIECE = re.compile(
    r"<\|(?:channel|message|constrain|start|begin|end|content|return)\|>|<\|channel>"
    r"|<\|(?:START|END)_RESPONSE\|>|<\|(?:begin|end)_of_solution\|>"
)
_QUOTED = re.compile(r"""[*_)\]"'`“”‘’„«»]""")
_GOES_ON = re.compile(r"""[^\S\n]+[a-z]|[^\S\n]*[.,;:!?…)\]"'`”’»]""")
_NEAR = 100
"""Characters before a mark that are looked at."""


def answer_of(text: str) -> str:
    """The answer alone, without white space around it.

    A mark counts by its place, so that an answer may speak of one: reasoning begins a line; where the chat
    template began it, it ends where no sentence goes on. Raises `ValueError` if there is nothing else.

    >>> answer_of("<think>\\nThe user wants ...\\n</think>\\n\\nA dog.")
    'A dog.'
    >>> answer_of('The sign says "<think>" in red.')
    'The sign says "<think>" in red.'
    """
    bare = _BARE.match(text)
    at = bare.end() if bare else 0
    kept = ""
    opened: re.Match[str] | None = None
    sure = bool(bare) and not text[:at].endswith("final")
    for mark in _MARK.finditer(text, at):
        if mark["final"]:
            kept, at, opened, sure = "", mark.end(), None, False
        elif mark["open"]:
            begins = _begins_line(text, at, mark.start())
            if opened is None or (begins and not sure):
                opened, sure = mark, begins
        elif opened and (sure or (mark["close"] and "\n" not in text[opened.end() : mark.start()])):
            if sure or _ends_reasoning(text, at, mark):
                kept += text[at : opened.start()]
                at = mark.end()
            opened, sure = None, False
        elif mark["close"] and _ends_reasoning(text, at, mark):
            kept, at, opened = "", mark.end(), None
    answer = (kept + text[at:]).strip()
    if at:
        answer = _AROUND.sub("", answer)
    if sure or (at and not answer):
        raise ValueError("the reply is reasoning without an answer")
    return answer


def is_mark(token: str) -> bool:
    """Whether a special token of a tokenizer is one of the marks, or a piece of one."""
    return bool(_PIECE.fullmatch(token) or _MARK.fullmatch(token))


def _begins_line(text: str, since: int, start: int) -> bool:
    return not text[max(since, start - _NEAR) : start].rpartition("\n")[2].strip()


def _ends_reasoning(text: str, since: int, mark: re.Match[str]) -> bool:
    """Whether a closing mark is no word of an answer."""
    before = text[max(since, mark.start() - _NEAR) : mark.start()]
    if _QUOTED.match(before[-1:]) and _QUOTED.match(text, mark.end()):
        return False
    words = before.rstrip(" \t")
    is_word = words != before and words[-1:] not in ("", "\n", *".!?…:")
    return not (is_word and _GOES_ON.match(text, mark.end()))
