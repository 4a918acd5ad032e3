"""A smolagents CodeAgent with its code in Cloister, and a model that says what it is told to."""

from smolagents import ChatMessage, CodeAgent, MessageRole, Model, Tool

from smolagents_executor import CloisterExecutor


class Scripted(Model):
    """Says one thing after the other, and remembers what it was told before each."""

    def __init__(self, *said):
        super().__init__(model_id="scripted")
        self.said, self.heard = iter(said), []

    def generate(self, messages, **options):
        self.heard.append("\n".join(part["text"] for message in messages for part in message.content))
        return ChatMessage(role=MessageRole.ASSISTANT, content=f"<code>\n{next(self.said)}\n</code>")


class Price(Tool):
    name, description, output_type = "price", "What something costs.", "number"
    inputs = {"of": {"type": "string", "description": "what"}, "currency": {"type": "string", "description": "in what", "nullable": True}}

    def __init__(self):
        super().__init__()
        # What code in a sandbox cannot have.
        self.secret, self.asked = object(), []

    def forward(self, of: str, currency: str = "EUR"):
        self.asked.append((of, currency))
        if of == "air":
            raise LookupError("nobody sells air")
        return {"tea": 3, "milk": 1.5}[of]


def agent(*said):
    model, tool = Scripted(*said), Price()
    return CodeAgent(tools=[tool], model=model, executor=CloisterExecutor(), verbosity_level=0), model, tool


def test_an_agent_runs_to_its_final_answer():
    agent_, model, tool = agent(
        "prices = {of: price(of) for of in ('tea', 'milk')}\nprint(prices)",
        "total = sum(prices.values())\nfinal_answer({'total': total, 'in': 'EUR'})\nprint('never printed')",
    )
    assert agent_.run("What do tea and milk cost?") == {"total": 4.5, "in": "EUR"}
    assert tool.asked == [("tea", "EUR"), ("milk", "EUR")]
    assert "{'tea': 3, 'milk': 1.5}" in model.heard[1]


def test_errors_come_to_the_model_and_what_was_printed_before_them():
    agent_, model, tool = agent("found = price('tea')\nprint('tea is', found)\nprice(of='air', currency='NOK')", "final_answer(found)")
    assert agent_.run("What does air cost?") == 3
    assert tool.asked == [("tea", "EUR"), ("air", "NOK")]
    assert "tea is 3" in model.heard[1] and "LookupError: nobody sells air" in model.heard[1]


def test_variables_of_the_task_are_there_and_expressions_have_values():
    agent_, model, _ = agent("len(basket)", "basket.append('jam')\nfinal_answer(basket)")
    assert agent_.run("Add jam.", additional_args={"basket": ["tea", "milk"]}) == ["tea", "milk", "jam"]
    assert "Last output from code snippet:\n2" in model.heard[1]


def test_an_answer_without_a_form_in_json_is_told_to_the_model():
    agent_, model, _ = agent("found = {1, 2}\nfinal_answer(object())", "final_answer('an object')")
    assert agent_.run("Find it.") == "an object"
    assert "the result" in model.heard[1] and "JSON" in model.heard[1]


def test_the_code_is_in_a_sandbox():
    agent_, model, _ = agent("import socket\nsocket.create_connection(('127.0.0.1', 9))", "final_answer('no way')")
    assert agent_.run("Look around.") == "no way"
    assert "PermissionError" in model.heard[1] or "OSError" in model.heard[1]
