//! Every word and sentence that a booth says about itself, in English and Danish.
//!
//! Owns: the one table. The script that records them (`src/adapters/voice/make.sh`) reads it, so a row
//! is one line; `adapters::voice` embeds one recording for each row and language. Never does: choose
//! what is said.
//!
//! A text that ends with a full stop or a colon is followed by a pause.

/// Gives the table to another macro: `Variant = "name", "English", "Danish";` for each word.
#[macro_export]
macro_rules! words {
    ($with:ident) => {
        $with! {
            // Letters and signs: an id is spelled, an address is read.
            LetterA = "letter_a", "a", "a";
            LetterB = "letter_b", "b", "b";
            LetterC = "letter_c", "c", "c";
            LetterD = "letter_d", "d", "d";
            LetterE = "letter_e", "e", "e";
            LetterF = "letter_f", "f", "f";
            LetterG = "letter_g", "g", "g";
            LetterH = "letter_h", "h", "h";
            LetterI = "letter_i", "i", "i";
            LetterJ = "letter_j", "j", "j";
            LetterK = "letter_k", "k", "k";
            LetterL = "letter_l", "l", "l";
            LetterM = "letter_m", "m", "m";
            LetterN = "letter_n", "n", "n";
            LetterO = "letter_o", "o", "o";
            LetterP = "letter_p", "p", "p";
            LetterQ = "letter_q", "q", "q";
            LetterR = "letter_r", "r", "r";
            LetterS = "letter_s", "s", "s";
            LetterT = "letter_t", "t", "t";
            LetterU = "letter_u", "u", "u";
            LetterV = "letter_v", "v", "v";
            LetterW = "letter_w", "w", "w";
            LetterX = "letter_x", "x", "x";
            LetterY = "letter_y", "y", "y";
            LetterZ = "letter_z", "z", "z";
            Dash = "dash", "dash", "bindestreg";
            Dot = "dot", "dot", "punktum";
            Colon = "colon", "colon", "kolon";
            // Numbers. Digits are read with the neuter `et`; `en` counts what has the common gender.
            Zero = "number_0", "zero", "nul";
            One = "number_1", "one", "et";
            Two = "number_2", "two", "to";
            Three = "number_3", "three", "tre";
            Four = "number_4", "four", "fire";
            Five = "number_5", "five", "fem";
            Six = "number_6", "six", "seks";
            Seven = "number_7", "seven", "syv";
            Eight = "number_8", "eight", "otte";
            Nine = "number_9", "nine", "ni";
            Ten = "number_10", "ten", "ti";
            Eleven = "number_11", "eleven", "elleve";
            Twelve = "number_12", "twelve", "tolv";
            Thirteen = "number_13", "thirteen", "tretten";
            Fourteen = "number_14", "fourteen", "fjorten";
            Fifteen = "number_15", "fifteen", "femten";
            Sixteen = "number_16", "sixteen", "seksten";
            Seventeen = "number_17", "seventeen", "sytten";
            Eighteen = "number_18", "eighteen", "atten";
            Nineteen = "number_19", "nineteen", "nitten";
            OneCommon = "number_1_common", "one", "en";
            Twenty = "number_20", "twenty", "tyve";
            Thirty = "number_30", "thirty", "tredive";
            Forty = "number_40", "forty", "fyrre";
            Fifty = "number_50", "fifty", "halvtreds";
            Sixty = "number_60", "sixty", "tres";
            Seventy = "number_70", "seventy", "halvfjerds";
            Eighty = "number_80", "eighty", "firs";
            Ninety = "number_90", "ninety", "halvfems";
            Hundred = "number_100", "hundred", "hundrede";
            Thousand = "number_1000", "thousand", "tusind";
            And = "number_and", "and", "og";
            MoreThan = "more_than", "more than", "mere end";
            LessThan = "less_than", "less than", "mindre end";
            // Units of time, as the end of a sentence.
            Minute = "unit_minute", "minute.", "minut.";
            Minutes = "unit_minutes", "minutes.", "minutter.";
            Hour = "unit_hour", "hour.", "time.";
            Hours = "unit_hours", "hours.", "timer.";
            Day = "unit_day", "day.", "dag.";
            Days = "unit_days", "days.", "dage.";
            // What the service report is made of.
            ServiceIntro = "service_intro", "Service. This booth is called:", "Service. Denne boks hedder:";
            Address = "address", "Network address:", "Netværksadresse:";
            NoAddress = "no_address", "No network address. Check the network cable or the wireless network.", "Ingen netværksadresse. Kontrollér netkablet eller det trådløse net.";
            BrokerConnected = "broker_connected", "The broker is connected.", "Der er forbindelse til serveren.";
            BrokerNotConfigured = "broker_not_configured", "No broker is configured. Write its address into the configuration.", "Der er ikke angivet nogen server. Skriv dens adresse i opsætningen.";
            BrokerNotReached = "broker_not_reached", "The broker is not reached. Check the network.", "Serveren svarer ikke. Kontrollér netværket.";
            BrokerRefusedLogin = "broker_refused_login", "The broker refuses the login. Check the password of this booth.", "Serveren afviser boksen. Kontrollér boksens adgangskode.";
            BrokerNameNotFound = "broker_name_not_found", "The broker's name is not found. Check its address and the name server.", "Serverens navn kan ikke findes. Kontrollér adressen og navneserveren.";
            BrokerTlsFailed = "broker_tls_failed", "The encrypted connection to the broker fails. Check the certificates and the clock.", "Den krypterede forbindelse til serveren mislykkes. Kontrollér certifikaterne og uret.";
            HubListening = "hub_listening", "The centre is listening.", "Centralen lytter.";
            HubNotListening = "hub_not_listening", "The centre is not listening. Messages are kept on the card.", "Centralen lytter ikke. Beskeder gemmes på kortet.";
            NoMessages = "no_messages", "No message is waiting on this card.", "Ingen beskeder venter på dette kort.";
            MessageHere = "message_here", "message is only on this card.", "besked findes kun på dette kort.";
            MessagesHere = "messages_here", "messages are only on this card.", "beskeder findes kun på dette kort.";
            OldestWaits = "oldest_waits", "The oldest has been waiting for", "Den ældste har ventet i";
            CardMoved = "card_moved", "This card was in another machine before.", "Dette kort har siddet i en anden maskine før.";
            NoFaults = "no_faults", "No faults.", "Ingen fejl.";
            NoFurtherFaults = "no_further_faults", "No further faults.", "Ikke flere fejl.";
            Fault = "fault", "fault.", "fejl.";
            Faults = "faults", "faults.", "fejl.";
            FirstThree = "first_three", "The first three:", "De tre første:";
            // One sentence for each alert, with its remedy: `alert_` and the alert's id.
            AlertCaptureLost = "alert_capture_lost", "No sound comes from the microphone. Check the plug of the sound card.", "Der kommer ingen lyd fra mikrofonen. Kontrollér lydkortets stik.";
            AlertPlaybackLost = "alert_playback_lost", "The earpiece cannot be played to. Check the plug of the sound card.", "Der kan ikke afspilles lyd i røret. Kontrollér lydkortets stik.";
            AlertMicrophoneDead = "alert_microphone_dead", "The microphone hears nothing. Check the microphone, its cable and the sound card.", "Mikrofonen kan intet høre. Kontrollér mikrofonen, dens kabel og lydkortet.";
            AlertSpoolFull = "alert_spool_full", "The card is full. Restore the connection, or swap the card.", "Kortet er fuldt. Genopret forbindelsen, eller skift kortet.";
            AlertSpoolUnwritable = "alert_spool_unwritable", "The card cannot be written. Swap it, and bring the old one to the centre.", "Der kan ikke skrives på kortet. Skift det, og aflever det gamle til centralen.";
            AlertDataPartitionMissing = "alert_data_partition_missing", "The card holds no place for messages. Swap it, and do not format it. There may be messages on it.", "Kortet har ingen plads til beskeder. Skift det, og formatér det ikke. Der kan være beskeder på det.";
            AlertCardClosed = "alert_card_closed", "The card is closed, to be taken out. Switch the power off and take it, or wait ten minutes.", "Kortet er lukket, så det kan tages ud. Sluk for strømmen, og tag det, eller vent ti minutter.";
            AlertDraining = "alert_draining", "The centre empties this booth, so that the card can be changed. It takes messages again by itself.", "Centralen tømmer boksen, så kortet kan skiftes. Boksen tager imod beskeder igen af sig selv.";
            AlertHandsetFailed = "alert_handset_failed", "The hook switch cannot be read. Check its wiring.", "Gaffelkontakten kan ikke læses. Kontrollér ledningerne.";
            AlertControlsFaulty = "alert_controls_faulty", "The dial, the keypad, a button or the lamp does not work. Free what is stuck, or check the wiring.", "Drejeskiven, tastaturet, en knap eller lampen virker ikke. Løsn det, der sidder fast, eller kontrollér ledningerne.";
            AlertKeyStuck = "alert_key_stuck", "A key is pressed and nobody presses it. Dry and clean the keypad, or swap it.", "En tast er trykket ned, uden at nogen trykker. Tør og rens tastaturet, eller skift det.";
            AlertCaseOpen = "alert_case_open", "The case is open. Shut it.", "Kabinettet er åbent. Luk det.";
            AlertHandsetLeftOff = "alert_handset_left_off", "The handset was left off its hook. Hang it up.", "Røret er ikke lagt på. Læg det på.";
            AlertNoQuestion = "alert_no_question", "No question is open at this booth. Add one to the configuration.", "Boksen har intet spørgsmål. Tilføj et i opsætningen.";
            AlertNoRecipient = "alert_no_recipient", "The key of the city is missing, so no message can be taken. Add it to the configuration.", "Byens nøgle mangler, så boksen kan ikke modtage beskeder. Tilføj den i opsætningen.";
            AlertNotConnected = "alert_not_connected", "The booth reaches no broker. Check the network, the password and the certificates.", "Boksen når ingen server. Kontrollér netværket, adgangskoden og certifikaterne.";
            AlertHubNotListening = "alert_hub_not_listening", "The centre does not listen to this booth. Ask the centre to check its hub.", "Centralen lytter ikke til denne boks. Bed centralen om at se efter.";
            AlertHubUnreadable = "alert_hub_unreadable", "What the centre says cannot be understood. Ask the centre to compare the versions.", "Det, centralen siger, kan ikke forstås. Bed centralen sammenligne versionerne.";
            AlertPromptMissing = "alert_prompt_missing", "The notice for citizens is missing. Put its recording into the folder of prompts.", "Oplysningen til borgerne mangler. Læg indtalingen i mappen.";
            AlertMicrophoneSilent = "alert_microphone_silent", "The recordings hold no speech. Check the microphone and its wiring.", "Der er ingen tale på optagelserne. Kontrollér mikrofonen og dens ledninger.";
            AlertHookNeverOn = "alert_hook_never_on", "The handset has not been on its hook since the start. Hang it up, or check the hook switch.", "Røret har ikke været lagt på siden starten. Læg det på, eller kontrollér gaffelkontakten.";
            AlertSpoolDamaged = "alert_spool_damaged", "Something on the card could not be read. Swap the card soon, and bring the old one to the centre.", "Noget på kortet kunne ikke læses. Skift snart kortet, og aflever det gamle til centralen.";
            AlertDataPartitionMovedAside = "alert_data_partition_moved_aside", "A part of the card was damaged, and messages may lie there. Swap the card, do not format it, and bring it to the centre.", "En del af kortet var beskadiget, og der kan ligge beskeder. Skift kortet, formatér det ikke, og aflever det til centralen.";
            AlertClipRejected = "alert_clip_rejected", "The centre refused a message. It is kept on the card. Ask the centre for the reason.", "Centralen afviste en besked. Den er gemt på kortet. Spørg centralen om grunden.";
            AlertClipRefusedByBroker = "alert_clip_refused_by_broker", "The broker refuses the messages of this booth. Ask the centre to check the access rules.", "Serveren afviser boksens beskeder. Bed centralen kontrollere adgangsreglerne.";
            AlertClockUnset = "alert_clock_unset", "The clock has not been set since the start. Check the network.", "Uret er ikke blevet stillet siden starten. Kontrollér netværket.";
            AlertDuplicateIdentity = "alert_duplicate_identity", "Another device has the name of this booth. Find the other card, and give it a name of its own.", "Et andet apparat har samme navn som denne boks. Find det andet kort, og giv det sit eget navn.";
            AlertHardwareChanged = "alert_hardware_changed", "This card was in another machine before. If that was on purpose, do nothing.", "Dette kort har siddet i en anden maskine før. Gør intet, hvis det er med vilje.";
            AlertDiskErrors = "alert_disk_errors", "The card reports errors. Swap the card.", "Kortet melder fejl. Skift kortet.";
            AlertCertExpiring = "alert_cert_expiring", "A certificate ends within three weeks. Ask the centre for a new one.", "Et certifikat udløber inden for tre uger. Bed centralen om et nyt.";
            AlertKeyExpiring = "alert_key_expiring", "The key of the city ends within thirty days. Ask the centre for a new one.", "Byens nøgle udløber inden for tredive dage. Bed centralen om en ny.";
            AlertMixerFaulty = "alert_mixer_faulty", "The sound card refuses a level. Ask the centre to check the settings.", "Lydkortet afviser et niveau. Bed centralen kontrollere indstillingerne.";
            AlertPower = "alert_power", "The supply voltage is too low. Check the power supply and its cable.", "Spændingen er for lav. Kontrollér strømforsyningen og kablet.";
            AlertTemperature = "alert_temperature", "The processor is too hot. Check the ventilation of the booth.", "Processoren er for varm. Kontrollér boksens ventilation.";
            AlertUnknown = "alert_unknown", "There is a fault without a recording. Ask the centre.", "Der er en fejl uden indtaling. Spørg centralen.";
            // The service session.
            SpeakTest = "speak_test", "Speak after the tone, for three seconds.", "Tal efter tonen i tre sekunder.";
            TestConfirmed = "test_confirmed", "The centre has confirmed your test message.", "Centralen har bekræftet din prøvebesked.";
            TestNoBroker = "test_no_broker", "Your test message is kept on the card. The broker is not reached.", "Din prøvebesked er gemt på kortet. Serveren svarer ikke.";
            TestNoHub = "test_no_hub", "Your test message is kept on the card. The centre is not listening.", "Din prøvebesked er gemt på kortet. Centralen lytter ikke.";
            TestUnanswered = "test_unanswered", "Your test message is kept on the card. The centre has not answered yet.", "Din prøvebesked er gemt på kortet. Centralen har ikke svaret endnu.";
            TestSilent = "test_silent", "Your test message holds no sound. Check the microphone.", "Der er ingen lyd i din prøvebesked. Kontrollér mikrofonen.";
            TestFailed = "test_failed", "The card did not take the test message.", "Kortet tog ikke imod prøvebeskeden.";
            PressNine = "press_nine", "Dial nine to take the card out.", "Tryk ni for at tage kortet ud.";
            PressFive = "press_five", "Dial five to say where this booth stands.", "Tryk fem for at sige, hvor boksen står.";
            PlaceIntro = "place_intro", "Dial the number of the place, and then wait.", "Tast stedets nummer, og vent så.";
            PlaceNoted = "place_noted", "The centre is told that this booth stands at place number:", "Centralen får at vide, at boksen står på sted nummer:";
            OldCardBegins = "old_card_begins", "The old card is being read. That may take some minutes.", "Det gamle kort læses. Det kan tage nogle minutter.";
            OldCardSoFar = "old_card_so_far", "Messages taken over so far:", "Beskeder overtaget indtil nu:";
            OldCardRead = "old_card_read", "The old card has been read. Messages taken over:", "Det gamle kort er læst. Beskeder overtaget:";
            OldCardLeft = "old_card_left", "Some things on it could not be read. Keep the old card, and bring it to the centre.", "Noget på det kunne ikke læses. Behold det gamle kort, og aflever det til centralen.";
            OldCardOut = "old_card_out", "The reader may be taken out.", "Læseren kan tages ud.";
            OldCardNone = "old_card_none", "No old card is found in the reader. Plug it in, and dial seven again.", "Der er ikke noget gammelt kort i læseren. Sæt det i, og tryk syv igen.";
            OldCardUnreadable = "old_card_unreadable", "The old card cannot be read. Do not format it, and bring it to the centre.", "Det gamle kort kan ikke læses. Formatér det ikke, og aflever det til centralen.";
            OldCardNoRoom = "old_card_no_room", "The card of this booth takes no more. Wait until its messages are sent, and dial seven again.", "Boksens eget kort tager ikke mere. Vent, til dets beskeder er sendt, og tryk syv igen.";
            OldCardNotNow = "old_card_not_now", "The card of this booth is closed, or takes no writes. Dial star to hear how the booth is.", "Boksens eget kort er lukket, eller der kan ikke skrives på det. Tryk stjerne for at høre, hvordan boksen har det.";
            CloseNeedsCase = "close_needs_case", "To take the card out, open the case or use the service button.", "For at tage kortet ud skal kabinettet åbnes, eller knappen i det bruges.";
            SafeToRemove = "safe_to_remove", "Safe to remove. Switch the power off and take the card.", "Kortet kan tages ud. Sluk for strømmen, og tag kortet.";
            NotSafe = "not_safe", "The card is not closed yet. Wait.", "Kortet er ikke lukket endnu. Vent.";
            BackInService = "back_in_service", "The booth is back in service.", "Boksen er i drift igen.";
            HookTaught = "hook_taught", "The hook's resting level has been learned.", "Gaffelkontaktens hvilestilling er lært.";
            NotSetUp = "not_set_up", "This booth is not set up.", "Denne boks er ikke sat op.";
            SelftestRunning = "selftest_running", "The self-test is running.", "Selvtesten er i gang.";
            SelftestOk = "selftest_ok", "The self-test found no fault.", "Selvtesten fandt ingen fejl.";
            SelftestFailed = "selftest_failed", "The self-test found a fault.", "Selvtesten fandt en fejl.";
            Louder = "louder", "Louder.", "Højere.";
            // A citizen's visit. Each is a prompt by its name, too: a city may record it with a voice of its own.
            NoQuestion = "no_question", "Nothing is asked here at the moment. Thank you for lifting the handset.", "Der bliver ikke spurgt om noget her lige nu. Tak, fordi du løftede røret.";
            OfferLanguage = "offer_language", "For English, dial:", "For dansk, tast:";
            Dial = "dial", "dial:", "tast:";
            DialToSpeak = "dial_to_speak", "To speak after the tone, dial:", "For at tale efter tonen, tast:";
            PressToSpeak = "press_to_speak", "To speak after the tone, press the button.", "Tryk på knappen for at tale efter tonen.";
            DialAgain = "dial_again", "Hang up, or dial again.", "Læg på, eller tast igen.";
            HearAnswer = "hear_answer", "To hear what came of earlier answers, dial:", "For at høre, hvad der kom ud af tidligere svar, tast:";
            HearAnswerNext = "hear_answer_next", "To hear what came of earlier answers, dial seven, and then:", "For at høre, hvad der kom ud af tidligere svar, tast syv og derefter:";
            MessageKept = "message_kept", "Your message is kept when you hang up.", "Din besked gemmes, når du lægger på.";
            MenuHear = "menu_hear", "To hear it, dial three.", "Tast tre for at høre den.";
            MenuAgain = "menu_again", "To say it again, dial four.", "Tast fire for at tale den ind igen.";
            MenuDelete = "menu_delete", "To delete it, dial five.", "Tast fem for at slette den.";
            MenuReceipt = "menu_receipt", "For a receipt, dial six.", "Tast seks for at få en kvittering.";
            MenuAnother = "menu_another", "For another question, dial seven.", "Tast syv for et andet spørgsmål.";
            AskText = "ask_text", "May your words be published as text? For yes, dial eight. Otherwise they are not.", "Må dine ord offentliggøres som tekst? Tast otte for ja. Ellers bliver de det ikke.";
            AskVoice = "ask_voice", "May your words be published? As text, dial eight. With your voice, dial nine. Otherwise they are not.", "Må dine ord offentliggøres? Tast otte for tekst. Tast ni for din stemme. Ellers bliver de det ikke.";
            MayText = "may_text", "They may be published as text. To take that back, dial eight again.", "De må offentliggøres som tekst. Tast otte igen for at fortryde det.";
            MayVoice = "may_voice", "They may be published with your voice. To take that back, dial nine again.", "De må offentliggøres med din stemme. Tast ni igen for at fortryde det.";
            MayNot = "may_not", "They are not published.", "De bliver ikke offentliggjort.";
            Deleted = "deleted", "Your message is deleted.", "Din besked er slettet.";
            NotOffered = "not_offered", "That digit has no meaning here.", "Det tal betyder ikke noget her.";
            YouChose = "you_chose", "You chose:", "Du valgte:";
            HangUpToCast = "hang_up_to_cast", "Hang up to cast your vote, or dial one. To change it, dial again.", "Læg på for at afgive din stemme, eller tast et. Tast igen for at ændre den.";
            VoteCast = "vote_cast", "Your vote is cast. Thank you.", "Din stemme er afgivet. Tak.";
            CodeIntro = "code_intro", "Dial the ten digits of your code. The last one casts your vote; without a code it does not count.", "Tast de ti tal i din kode. Det sidste afgiver din stemme; uden en kode tæller den ikke.";
            CodeWrong = "code_wrong", "That is not a code. A digit is wrong. Dial all ten again.", "Det er ikke en kode. Et tal er forkert. Tast alle ti igen.";
            CodeNot = "code_not", "This vote takes a code, and this booth cannot keep one secret. Please try another booth.", "Denne afstemning kræver en kode, og denne boks kan ikke hemmeligholde den. Prøv en anden boks.";
            SoFar = "so_far", "You have dialled:", "Du har tastet:";
            VoteLater = "vote_later", "There was a vote on this here a moment ago. You can vote in", "Der er lige blevet stemt om dette her. Du kan stemme om";
            ReceiptIntro = "receipt_intro", "With this number you can take back what you left here. Write it down:", "Med dette nummer kan du tage det tilbage, du har afgivet her. Skriv det ned:";
            ReceiptAgain = "receipt_again", "Once more:", "En gang til:";
            ReceiptHow = "receipt_how", "To take it back, lift the handset of any booth, and before the number dial:", "For at tage det tilbage skal du løfte røret på en boks, og før nummeret tast:";
            ReceiptSlower = "receipt_slower", "To hear the number more slowly, dial zero.", "Tast nul for at høre nummeret langsommere.";
            NoReceipt = "no_receipt", "This booth cannot give a receipt.", "Denne boks kan ikke give en kvittering.";
            WithdrawIntro = "withdraw_intro", "Here you can take back what you left. Dial the twelve digits of your receipt.", "Her kan du tage det tilbage, du har afgivet. Tast de tolv tal på din kvittering.";
            WithdrawSlow = "withdraw_slow", "To take back what you left, dial zero once more. Otherwise do nothing.", "For at tage det tilbage, du har afgivet, tast nul en gang til. Ellers skal du ikke gøre noget.";
            WithdrawNot = "withdraw_not", "Nothing can be taken back at this booth. Please try another one.", "Intet kan tages tilbage ved denne boks. Prøv en anden.";
            WithdrawWrong = "withdraw_wrong", "That is not the number of a receipt. A digit is wrong. Dial all twelve again.", "Det er ikke nummeret på en kvittering. Et tal er forkert. Tast alle tolv igen.";
            WithdrawNoted = "withdraw_noted", "We have taken note. Hang up, or dial the number of another receipt.", "Det er noteret. Læg på, eller tast nummeret på en anden kvittering.";
            WithdrawFailed = "withdraw_failed", "This booth could not take note of it. Dial the number again, or try another booth.", "Boksen kunne ikke notere det. Tast nummeret igen, eller prøv en anden boks.";
        }
    };
}
