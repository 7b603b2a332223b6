// Puts neutral words in the place of what differs from machine to machine; returns what is left.
([words, foreign]) => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    let text = node.data;
    for (const [old, fresh] of words) text = text.split(old).join(fresh);
    if (text !== node.data) node.data = text;
  }
  return foreign.filter((path) => document.body.innerText.includes(path));
}
