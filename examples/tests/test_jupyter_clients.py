"""docs/jupyter.md: real clients of Jupyter, pointed at a node as its readers would point them."""

import asyncio

import pytest
from service import Service, free_port

PORT = free_port()


@pytest.fixture(scope="module")
def node():
    """A node with a listener for clients that take a host and a port only."""
    service = Service(gateway_options=["--jupyter-listen", f"127.0.0.1:{PORT}"])
    try:
        yield service.start()
    finally:
        service.stop()


@pytest.fixture
def url(node):
    return f"http://{node.address}/jupyter"


@pytest.fixture
def nothing_left(node):
    yield
    assert node.client.http.get("/sessions").json() == {"sessions": []}


PICTURE = "class P:\n    def _repr_png_(self): return b'\\x89PNG'\nP()"


def test_jupyter_kernel_client(url, nothing_left):
    from jupyter_kernel_client import JupyterKernelClient

    with JupyterKernelClient(server_url=url, token="t") as kernel:
        assert kernel.execute("print('a')\nx = 20") == {
            "execution_count": 1, "outputs": [{"output_type": "stream", "name": "stdout", "text": "a\n"}], "status": "ok"}
        reply = kernel.execute("x + 1")
        assert (reply["execution_count"], reply["outputs"][0]["data"]) == (2, {"text/plain": "21"})
        reply = kernel.execute("1 / 0")
        assert reply["status"] == "error" and reply["outputs"][0]["ename"] == "ZeroDivisionError"
        assert kernel.kernel_info["language_info"]["name"] == "python"
        assert kernel.last_activity and kernel.id in [one["id"] for one in kernel.list_kernels()]
        kernel.restart()
        assert kernel.execute("'x' in globals()")["outputs"][0]["data"] == {"text/plain": "False"}
        kernel.interrupt()


def test_ag2(node, tmp_path, nothing_left):
    from autogen.coding import CodeBlock
    from autogen.coding.jupyter import JupyterCodeExecutor, JupyterConnectionInfo

    executor = JupyterCodeExecutor(JupyterConnectionInfo(host="127.0.0.1", use_https=False, port=PORT, token="t"), output_dir=tmp_path)

    def run(code):
        return executor.execute_code_blocks([CodeBlock(language="python", code=code)])

    assert (run("x = 20").exit_code, run("print('a')\nx + 1").output.split()) == (0, ["a", "21"])
    failed = run("1 / 0")
    assert failed.exit_code == 1 and "ZeroDivisionError" in failed.output
    assert run("x").output.strip() == "20", "the end of what failed confuses nothing"
    [file] = run(PICTURE).output_files
    assert open(file, "rb").read() == b"\x89PNG"
    executor.restart()
    assert "NameError" in run("x").output
    executor.stop()


def test_autogen(node, tmp_path, nothing_left):
    from autogen_core import CancellationToken
    from autogen_core.code_executor import CodeBlock
    from autogen_ext.code_executors.docker_jupyter import DockerJupyterCodeExecutor
    from autogen_ext.code_executors.docker_jupyter._jupyter_server import JupyterConnectionInfo

    async def main():
        info = JupyterConnectionInfo(host="127.0.0.1", use_https=False, port=PORT, token="t")
        async with DockerJupyterCodeExecutor(info, output_dir=tmp_path) as executor:

            async def run(code):
                return await executor.execute_code_blocks([CodeBlock(language="python", code=code)], CancellationToken())

            assert (await run("x = 20")).exit_code == 0
            assert (await run("print('a')\nx + 1")).output.split() == ["a", "21"]
            failed = await run("1 / 0")
            assert failed.exit_code == 1 and "ZeroDivisionError" in failed.output
            [file] = (await run(PICTURE)).output_files
            assert open(file, "rb").read() == b"\x89PNG"
            await executor.restart()
            assert "NameError" in (await run("x")).output

    asyncio.run(main())


def test_smolagents(url, node, nothing_left):
    import websocket
    from smolagents import CodeAgent
    from smolagents.monitoring import AgentLogger, LogLevel
    from smolagents.remote_executors import RemotePythonExecutor, _create_kernel_http, _websocket_run_code_raise_errors
    from test_smolagents import Scripted

    logger = AgentLogger(level=LogLevel.OFF)

    class CloisterKernel(RemotePythonExecutor):
        def __init__(self):
            super().__init__([], logger)
            self.kernel = _create_kernel_http(f"{url}/api/kernels", logger)
            self.ws = websocket.create_connection(f"{url.replace('http', 'ws')}/api/kernels/{self.kernel}/channels")

        def run_code_raise_errors(self, code):
            return _websocket_run_code_raise_errors(code, self.ws, self.logger)

        def install_packages(self, packages):
            return packages  # a node has what it has

        def cleanup(self):
            self.ws.close()
            assert node.client.http.delete(f"/jupyter/api/kernels/{self.kernel}").status_code == 204

    model, executor = Scripted("basket.append('jam')\nprint(len(basket))", "1 / 0", "final_answer(basket)"), CloisterKernel()
    agent = CodeAgent(tools=[], model=model, executor=executor, verbosity_level=0)
    assert agent.run("Add jam.", additional_args={"basket": ["tea"]}) == ["tea", "jam"]
    assert "ZeroDivisionError" in model.heard[2]
    executor.cleanup()
