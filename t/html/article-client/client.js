/**
 * A client of the article dialect, written from "Article dialect" of
 * protocol.md: no subprotocol, one description each way with all candidates
 * in it, and no socket any more once the call is up.
 */

const GATHERING_TIME = 2000;

const list = document.querySelector('ul');
const status = document.querySelector('p');
const connection = new RTCPeerConnection();
let nickname;
let socket;

document.querySelector('form').addEventListener('submit', (event) => {
  event.preventDefault();
  enter(document.querySelector('input').value);
});

connection.ontrack = ({ streams }) => {
  document.querySelector('#other').srcObject = streams[0];
};
connection.onconnectionstatechange = () => {
  status.textContent = connection.connectionState;
  if (connection.connectionState === 'connected') {
    socket.close();
  }
};

async function enter(name) {
  nickname = name;
  const stream = await navigator.mediaDevices
    .getUserMedia({ audio: true, video: true });
  document.querySelector('#own').srcObject = stream;
  stream.getTracks().forEach((track) => connection.addTrack(track, stream));

  socket = new WebSocket(new URL('/webrtc/signal', location));
  socket.onopen = () => socket.send(JSON.stringify({ nickname }));
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
  socket.onclose = ({ code, reason }) => {
    list.replaceChildren();
    if (connection.connectionState !== 'connected') {
      status.textContent = `closed: ${code} ${reason}`;
    }
  };
}

function receive(text) {
  if (text.userlist) {
    list.replaceChildren(...text.userlist.filter((name) => name !== nickname)
      .map(line));
  } else if (text.type === 'offer') {
    answer(text);
  } else if (text.type === 'answer') {
    connection.setRemoteDescription(text);
  } else {
    /* as that client does with a text that it does not know */
    socket.close();
    connection.close();
  }
}

function line(name) {
  const item = document.createElement('li');
  const button = document.createElement('button');
  button.textContent = `Call ${name}`;
  button.onclick = () => call(name);
  item.append(button);
  return item;
}

async function call(name) {
  await connection.setLocalDescription(await connection.createOffer());
  await gathered();
  describe(name);
}

async function answer({ type, sdp, from }) {
  await connection.setRemoteDescription({ type, sdp });
  await connection.setLocalDescription(await connection.createAnswer());
  await gathered();
  describe(from);
}

function describe(target) {
  const { type, sdp } = connection.localDescription;
  const text = JSON.stringify({ type, sdp, from: nickname });
  socket.send(JSON.stringify({ target, sdp: text }));
}

/* A STUN server that never answers would hold it up for 40 s. */
function gathered() {
  return new Promise((resolve) => {
    const look = () => {
      if (connection.iceGatheringState === 'complete') {
        resolve();
      }
    };
    connection.addEventListener('icegatheringstatechange', look);
    setTimeout(resolve, GATHERING_TIME);
    look();
  });
}
