"""A prompt without its repetitions: nothing lost, the layout kept, examples thinned, paraphrases by an embedder."""

import time

import pytest

from workbench.compression.prompt import PromptCompressor
from workbench.errors import ContextOverflow, InvalidSettings
from workbench.evaluation.prompt_score import system_prompts
from workbench.interfaces import Message
from workbench.testing import CompressorContract
from workbench.testing.contracts.compressor import count_words


class TestPromptContract(CompressorContract):
    rewrites_system = True

    def make(self):
        return PromptCompressor(count_words)


PROMPT = """# Role
You help customers of a library. Be polite.

## Rules
- Keep answers short.
- Loans last 28 days. Ask for the card number first.
- Never share personal data.

## Reminders
- Please keep your answers brief.
- Personal data must never be shared.

## Things to avoid
- Sharing opinions on books.

Example 1:
User: May I keep it longer?
Assistant: Certainly. Your card number, please?

Example 2:
User: Can I keep this for longer?
Assistant: Certainly. What is your card number?

Example 3:
User: Somebody wrote in this book.
Assistant: Thank you for telling us. Which book is it?

Thank the customer at the end.
"""


def merged(text, examples=None, **options):
    return PromptCompressor(count_words, **options).merged([text], examples=examples)[0]


def test_what_is_repeated_goes_with_its_bullet_and_an_empty_heading():
    new = merged(PROMPT)
    assert "Reminders" not in new
    assert "brief" not in new
    assert new == PROMPT.replace(
        "## Reminders\n- Please keep your answers brief.\n- Personal data must never be shared.\n\n", ""
    ).strip("\n")


def test_of_the_examples_the_most_different_stay():
    new = merged(PROMPT, examples=2)
    assert "Example 1" in new
    assert "Example 2" not in new
    assert "Example 3" in new
    assert new.endswith("Thank the customer at the end.")
    assert "Example" not in merged(PROMPT, examples=0)


def test_what_says_nothing_twice_is_unchanged():
    text = "  Be kind.\n\n\n\n- Loans last 28 days.   \n"
    assert merged(text) == text


def test_the_fuller_guideline_stays_wherever_it_is():
    assert merged("- Be polite.\n- Loans last 28 days.\n- Be polite and patient.") == (
        "- Loans last 28 days.\n- Be polite and patient."
    )


def test_a_sentence_goes_out_of_a_paragraph():
    text = "Be polite. Loans last 28 days. Always be polite. Say\ngoodbye at the\nend."
    assert merged(text) == "Be polite. Loans last 28 days. Say\ngoodbye at the\nend."


def test_the_same_words_below_different_headings_are_different_rules():
    text = "## Refunds\n- Ask for the number.\n\n## Shipping\n- Ask for the number."
    assert merged(text) == text
    assert merged("Ask for the number.\n\n" + text).count("Ask for the number.") == 1, (
        "said in general, it holds always"
    )


def test_the_same_words_below_do_and_do_not_are_different_rules():
    text = "Always:\n- Mention prices.\n\nNever:\n- Mention prices."
    assert merged(text) == text
    assert merged("Never mention prices.\n\nNever:\n- Mention prices.") == "Never mention prices."
    assert merged("Do not forget:\n- Mention prices.\n- Always mention prices.").count("ention prices") == 1


def test_a_condition_in_the_line_above_counts():
    text = "Be brief.\n\nIf the user is angry:\n- Apologise.\n- Offer a call.\n\nIf the user is lost:\n- Offer a call."
    assert merged(text) == text


def test_code_is_left_alone():
    text = "Be brief.\n```\nBe brief.\nBe brief.\n```\nBe brief."
    assert merged(text) == "Be brief.\n```\nBe brief.\nBe brief.\n```"


def test_titles_end_no_sentence():
    assert merged("Dr. Amsel works on Monday. Dr. Brandt works on Friday.").count("Dr.") == 2


def test_examples_in_tags_and_of_labels():
    shown = [
        f"<example>\nInput: {word}\nOutput: {word} done\n</example>" for word in ("red fox", "red fox too", "blue")
    ]
    new = merged("\n".join(["Classify.", *shown]), examples=2)
    assert shown[0] in new
    assert shown[1] not in new
    assert shown[2] in new
    arrows = '"I lost it" -> lost\n"it is gone" -> lost\n"I lost it all" -> lost\n"how much?" -> price'
    assert merged(arrows, examples=2).count("-> lost") == 2
    assert "-> price" in merged(arrows, examples=1)
    assert merged("Broken box -> hand over\nWet box -> hand over\nLate box -> hand over", examples=1).count("box") == 3


def test_examples_go_only_if_they_have_to():
    messages = [Message.system(PROMPT), Message.user("hello")]
    without_repeats = count_words([Message.system(merged(PROMPT)), messages[1]])
    assert PromptCompressor(count_words).compress(messages, without_repeats).messages[0].content.count("Example") == 3
    assert (
        PromptCompressor(count_words).compress(messages, without_repeats - 1).messages[0].content.count("Example") == 2
    )


def test_a_second_system_message_that_says_nothing_new_goes():
    messages = [
        Message.system("Be polite. Keep answers short."),
        Message.user("hello"),
        Message.system("Please be polite."),
        Message.user("word " * 10),
        Message.user("bye"),
    ]
    compression = PromptCompressor(count_words).compress(messages, count_words(messages) - 1)
    assert compression.messages == (messages[0], *(messages[place] for place in (1, 3, 4)))
    assert compression.dropped == (2,)


def test_a_system_message_of_the_last_turn_is_left_alone():
    messages = [Message.system("Be polite."), Message.user("hello"), Message.system("Be polite.")]
    with pytest.raises(ContextOverflow):
        PromptCompressor(count_words).compress(messages, 9)


def test_messages_go_when_the_prompt_alone_is_not_enough():
    chat = [Message.user(f"word{n} " * 5) for n in range(30)]
    compression = PromptCompressor(count_words).compress([Message.system(PROMPT), *chat], 150)
    assert compression.changed == (0,)
    assert compression.messages[0].content == merged(PROMPT, examples=2)
    assert compression.tokens_after >= 0.95 * 150
    left = PromptCompressor(count_words).attempt([Message.system(PROMPT), *chat], 150)
    assert len(left) == 31, "in a chain they are the next step's"


@pytest.mark.parametrize("prompt", system_prompts("tuning"), ids=lambda prompt: prompt.id)
def test_no_rule_of_ours_is_lost_and_doing_it_again_changes_nothing(prompt):
    new = merged(prompt.text, examples=2)
    lost = [group for group in prompt.rules if not any(said in new for said in group)]
    assert lost == []
    assert len(new) < 0.95 * len(prompt.text)
    assert merged(new, examples=2) == new


def test_an_embedder_finds_paraphrases_but_no_contradictions():
    class Alike:
        """Finds everything alike."""

        def embed(self, texts):
            import numpy as np

            return np.tile(np.array([1.0, 0.0], dtype=np.float32), (len(texts), 1))

    assert merged("Remain calm.\nKeep your temper.", embedder=Alike()) == "Remain calm."
    for text in ("Loans last 28 days.\nLending takes 14 days.", "Greet Anna.\nWave to Bernd.", "Smile.\nNever grin."):
        assert merged(text, embedder=Alike()) == text


def test_a_very_long_prompt_and_a_very_long_line_take_their_time_and_no_more():
    lines = "".join(f"- Rule {n} is about thing{n} and place{n}.\n" for n in range(400))
    started = time.perf_counter()
    assert merged(lines + lines) == lines.strip("\n")
    once = time.perf_counter() - started
    started = time.perf_counter()
    merged("- " + "x" * 200_000 + "\n- " + "no at@ 'a " * 20_000)
    assert time.perf_counter() - started < 5 * once + 5, "a blob is not read"


@pytest.mark.parametrize("options", [{"examples": -1}, {"overlap": 0}, {"similarity": 1.1}])
def test_bad_options_name_the_remedy(options):
    with pytest.raises(InvalidSettings, match="at most 1"):
        PromptCompressor(count_words, **options)
