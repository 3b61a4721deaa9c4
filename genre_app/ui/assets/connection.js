// A connection that fails for a moment. gradio gives up an upload at once, and a recording is lost with it. After any other request
// it loads the page again, and the answers are lost. So send both again as soon as the server answers.
{
  const AGAIN_MS = 1000; // between two questions whether the server answers
  const PATIENCE_MS = 120000; // of these questions
  const MOST_TRIES = 5; // to send one request: a proxy may cut off a file that is too large for it
  const { fetch } = window;
  let latest = 0; // number of the latest upload: an earlier file is not sent after a later one
  let isLost = false; // the page says so
  let waiting = null;

  // Return the number that gradio gave the server when it started; null if there is no answer.
  const ask = async (address) => {
    const end = performance.now() + PATIENCE_MS;
    while (performance.now() < end) {
      await new Promise((done) => setTimeout(done, AGAIN_MS));
      try {
        return (await (await fetch(address)).json()).app_id;
      } catch {} // not yet
    }
    return null;
  };
  // All requests wait together, so they are sent again in the order of the visitor's actions.
  const serverThatAnswers = (address) => (waiting ??= ask(address).finally(() => (waiting = null)));

  const why = (status) => (status === 413 ? "it is too large for this server" : `the server answered with error ${status}`);

  window.fetch = async (...request) => {
    const [, root, kind] = /^(.*\/)(upload|queue\/join)(\?|$)/.exec(request[0]?.url ?? request[0]) ?? [];
    if (!kind) return fetch(...request);
    const number = kind === "upload" && ++latest;
    for (let tries = 1; ; tries++) {
      try {
        const answer = await fetch(...request);
        // gradio does not tell the visitor that an upload was refused, for example by a proxy.
        if (number) genreApp.sayUpload(answer.ok ? "" : `Your file or recording did not arrive: ${why(answer.status)}.`);
        else if (isLost) genreApp.sayUpload("");
        isLost = false;
        return answer;
      } catch (error) {
        if (number && number !== latest) throw error;
        isLost = true;
        genreApp.sayUpload("The connection to the server is lost. Check the connection; this page keeps trying.");
        const server = tries < MOST_TRIES ? await serverThatAnswers(`${root}app_id`) : null;
        // A server that has started again has forgotten this page: gradio loads it again, except for an upload.
        if (number ? server && number === latest : server === gradio_config.app_id) continue;
        if (number === latest) genreApp.sayUpload("Your file or recording did not arrive. Check the connection, and send it again.");
        throw error;
      }
    }
  };
}
