# ceylonai-next 0.3.6: requests across agents, collected later.
import asyncio

from ceylon.compat import Agent, LlmAgent, LocalMesh


class Archive(Agent):
    def on_message(self, message, context=None):
        if message == "burn":
            raise ValueError("no fire in here")
        return f"filed {message}"


async def main():
    mesh = LocalMesh("requests")
    for name in ("writer", "editor"):
        agent = LlmAgent(name, "ollama::gemma3:latest")
        agent.build()
        print(mesh.add_llm_agent(agent))
    mesh.start()

    first = await mesh.submit("writer", "Say a draft")
    second = await mesh.submit("editor", "Say a correction")
    print(isinstance(first, str), first != second)
    result = await mesh.wait_for(first, timeout=30.0)
    print(result.target, result.response, result.request_id == first, result.duration_ms >= 0)

    results = await mesh.collect_results()
    print([(each.target, each.response) for each in results])
    print(mesh.has_pending(), mesh.get_pending())

    answer = await mesh.query("editor", "Say an end", timeout=30.0)
    print(answer.response)


asyncio.run(main())


def blocking():
    mesh = LocalMesh("blocking")
    agent = LlmAgent("poet", "ollama::gemma3:latest")
    agent.build()
    mesh.add_llm_agent(agent)
    number = mesh.submit_sync("poet", "Say a verse")
    print(mesh.wait_for_sync(number, timeout=30.0).response)
    print(mesh.query_sync("poet", "Say another").response)
    mesh.submit_sync("poet", "Say a third")
    print([each.response for each in mesh.collect_results_sync()])


blocking()
