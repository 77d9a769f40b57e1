# ceylonai-next 0.3.6: thoughts and actions, with a trace.
from ceylon.compat import LlmAgent, ReActConfig

agent = LlmAgent("detective", "ollama::gemma3:latest")


@agent.action(description="Look up a suspect")
def look_up(name: str) -> str:
    return f"{name} was in Galle that night"


agent.build()
agent.with_react(ReActConfig().with_max_iterations(4))

result = agent.send_message_react("Where was Perera?")
print(result.answer)
print(result.finish_reason, result.iterations)
for step in result.get_steps():
    print(step.iteration, step.thought, step.action, step.observation)
result.print_trace()
