/**
 * Who asks not to be written to. WhatsApp passes a "STOP" on like any other text, and a tap on "Unsubscribe" like any other button.
 *
 * Only a whole message counts ("please don't stop" is none). A wrong suppression is shown and can be lifted, an overlooked one breaks
 * the law; yet words are left out that are common answers when written without their accents (Vietnamese "dừng" is then "đúng",
 * "yes", and "hủy" a given name) or in another tongue (Swahili "acha" is Hindi for "fine").
 */

/** Stop writing to me. Words that the operators of the United States and Canada demand (AWS, Twilio, Telnyx lists) and their like. */
const words = `
  stop; stop all; stopall; stop it; stop messages; stop sending messages; stop messaging; stop messaging me; stop texting me;
  unsubscribe; unsubscribe me; unsub; opt out; optout; opt me out; remove me; take me off; no more messages; do not contact me;
  dont contact me; don't contact me; do not message me; dont message me; don't message me; leave me alone; td;
  parar; pare; alto; baja; dar de baja; darme de baja; dame de baja; deme de baja; darse de baja; quiero darme de baja; desuscribir;
  desuscribirme; desuscribirse; cancelar suscripción; no más mensajes; no quiero más mensajes; no quiero recibir mensajes;
  no quiero recibir más mensajes; detener; desinscribir;
  sair; descadastrar; descadastrar-me; me descadastrar; cancelar inscrição; não quero receber; não quero mais receber;
  não quero receber mensagens; não quero mais receber mensagens; pare de enviar mensagens; parar mensagens;
  arrêt; arrêter; arrêtez; arrêtez les messages; désabonner; me désabonner; se désabonner; désabonnez-moi; désabonnement;
  désinscrire; me désinscrire; se désinscrire; désinscription; plus de messages;
  stopp; stoppen; abmelden; abmeldung; abbestellen; austragen; keine nachrichten; keine nachrichten mehr; keine weiteren nachrichten;
  basta; ferma; fermare; disiscrivimi; disiscriviti; disiscrizione; cancellami; annulla iscrizione; cancella iscrizione;
  non voglio più messaggi; niente più messaggi;
  afmelden; uitschrijven; geen berichten meer; sluta; avregistrera; avprenumerera; inga fler meddelanden; avmeld; meld av; afmeld;
  frameld; lopeta; peruuta tilaus; wypisz; wypisz mnie; zrezygnuj; rezygnuję; odhlásit; odhlásiť; dezabonare; dezabonează-mă; oprește;
  leiratkozás; leiratkozom; durdur; ret; abonelikten çık; mesaj istemiyorum; mesaj atmayın;
  berhenti; berhenti berlangganan; hentikan; henti; berhenti melanggan; hủy đăng ký; từ chối; itigil; tigil; sitisha;
  रोकें; रोको; बंद करें; बंद करो; बंद; स्टॉप; सदस्यता समाप्त करें; सदस्यता रद्द करें; अनसब्सक्राइब; roko; rok do; band karo; band kare;
  band karen; message band karo; msg band karo; थांबवा; बंद करा; বন্ধ; বন্ধ করুন; বন্ধ করো; স্টপ; બંધ કરો; ਬੰਦ ਕਰੋ; நிறுத்து; நிறுத்தவும்;
  ఆపు; ఆపండి; ನಿಲ್ಲಿಸಿ; നിർത്തുക; بند کریں; بند کرو; روکیں; سٹاپ;
  توقف; قف; أوقف; إيقاف; ستوب; إلغاء الاشتراك; الغاء الإشتراك; أوقف الرسائل; إيقاف الرسائل; لغو; لغو اشتراک;
  הסר; הסרה; הסירו אותי; הסר אותי; עצור; די; стоп; отписаться; отписка; отпишите меня; отписать; хватит; прекратите; відписатися;
  відписка; припиніть; στοπ; σταμάτα; σταματήστε; απεγγραφή; διαγραφή; 停止; 配信停止; 配信解除; 登録解除; ストップ; 購読解除; 退订; 退訂;
  取消订阅; 取消訂閱; 停止发送; 不要再发; 중지; 수신거부; 수신 거부; 그만; 구독취소; 구독 취소; หยุด; หยุดส่ง; ยกเลิกการสมัคร; ยกเลิกการติดตาม`;

/** The same in a message somebody wrote; on a button, where the sender chose the word, it may concern an order or an appointment. */
const writtenWords = `
  cancel; end; quit; remove; revoke; cancelar; annuler; annulla; iptal; batal; remover; kündigen; beenden; ยกเลิก; إلغاء; रद्द करें`;

/** No advertising, please: what Meta's own opt-out button says, and what people say. */
const promotionWords = `
  stop promotions; stop promos; stop promotion; stop promotional messages; stop marketing; stop marketing messages; stop offers; stop ads;
  stop advertising; no promotions; no more promotions; no more offers; no more ads; no ads; no marketing; unsubscribe from promotions;
  unsubscribe from marketing; opt out of marketing; opt out of promotions; opt out marketing;
  detener promociones; parar promociones; no más promociones; no quiero promociones; sin publicidad; no más publicidad;
  interromper promoções; parar promoções; cancelar promoções; não quero promoções; sem promoções; sem publicidade;
  arrêter les promotions; arrêter les promos; stop promos; stop pub; plus de promotions; plus de pub; pas de pub;
  werbung stoppen; werbung beenden; keine werbung; keine werbung mehr; werbeaktionen beenden; angebote stoppen;
  interrompi promozioni; stop promozioni; ferma promozioni; basta promozioni; niente promozioni; basta pubblicità;
  stop reclame; geen reclame; geen reclame meer; stop aanbiedingen; stoppa reklam; ingen reklam; stopp reklame; stop reklame;
  bez reklam; stop reklamom; fără reclame; stop reclame; reklam istemiyorum; promosyonları durdur; hentikan promosi; stop promosi;
  berhenti promosi; ngừng quảng cáo; ngừng khuyến mãi; itigil ang promosyon;
  प्रमोशन रोकें; प्रमोशन बंद करें; प्रचार रोकें; प्रचार बंद करें; ऑफ़र बंद करें; promotion band karo; offer band karo;
  إيقاف العروض; أوقف العروض; إيقاف العروض الترويجية; إيقاف الإعلانات; בלי פרסומות; הפסק פרסומות;
  стоп реклама; без рекламы; отключить рекламу; не присылайте рекламу; без реклами; όχι διαφημίσεις;
  プロモーションを停止; 宣伝を停止; 停止促销; 停止推广; 停止促銷; 광고 중지; 광고 수신거부; หยุดโปรโมชั่น; หยุดโฆษณา`;

const courtesies = `
  please; pls; plz; kindly; thanks; thank you; thx; por favor; porfavor; gracias; obrigado; obrigada; s'il vous plaît; svp; stp; merci;
  bitte; danke; per favore; grazie; alstublieft; aub; dank u; tack; takk; tak; kiitos; proszę; dziękuję; lütfen; teşekkürler; tolong;
  terima kasih; कृपया; धन्यवाद; من فضلك; شكرا; пожалуйста; спасибо; お願いします; 请; 請; 谢谢`;

/** Longer than the longest phrase with courtesies around it; what is longer is a sentence. */
const LENGTH_MAX = 120;
/** Accents of Latin, Greek and Cyrillic; vowel points of Hebrew and Arabic, and the hamza that is often left out. Vowel signs of Indic scripts are letters. */
const ACCENTS = /[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0640]/gu;

function normalise(text: string): string {
  const bare = text.normalize("NFKC").toLowerCase().normalize("NFD").replace(ACCENTS, "").normalize("NFC");
  const plain = bare.replaceAll("ı", "i").replaceAll("đ", "d").replaceAll("ø", "o").replaceAll("ł", "l");
  return plain
    .replace(/[\u200c\u200d]/gu, "")
    .replace(/['\u2019`]/gu, "")
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, " ")
    .trim();
}

const setOf = (list: string) => new Set(list.split(";").map(normalise));
const all = setOf(words);
const written = setOf(writtenWords);
const promotions = setOf(promotionWords);
const courtesy = [...setOf(courtesies)].sort((a, b) => b.length - a.length);

/** "STOP STOP" is "stop", "please stop, thank you" too. */
function essence(text: string): string {
  let phrase = normalise(text);
  for (let before = ""; before !== phrase; ) {
    before = phrase;
    for (const word of courtesy) {
      if (phrase.startsWith(`${word} `)) phrase = phrase.slice(word.length + 1);
      if (phrase.endsWith(` ${word}`)) phrase = phrase.slice(0, -word.length - 1);
    }
  }
  const [first = "", ...rest] = phrase.split(" ");
  return rest.every((word) => word === first) ? first : phrase;
}

/** What somebody answered: a text they wrote, or a button of ours they tapped. */
export interface Answer {
  readonly text?: string;
  readonly button?: { readonly payload?: string; readonly label?: string };
}

/** `all`: no message at all any more; `marketing`: no advertising; null: no opt-out. */
export function optOutScope({ text, button }: Answer): "all" | "marketing" | null {
  const said = [text, button?.payload, button?.label].map((value) => (value === undefined || value.length > LENGTH_MAX ? "" : essence(value)));
  if (said.some((phrase) => all.has(phrase)) || written.has(said[0] ?? "")) return "all";
  return said.some((phrase) => promotions.has(phrase)) ? "marketing" : null;
}
